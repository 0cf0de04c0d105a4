// Where commands that only read look: a running server, or a database file. Both give the same rows.

/// What can be looked at.
///
/// Rows are objects with the fields of docs/line-protocol.md, Rows.
protocol Source {
    /// The broker as a whole.
    func status() throws -> JSON
    /// The queues whose names match a glob, and of each the fields of these names at least; `nil` is all.
    func queues(match: String?, fields: [String]?, each: (JSON) throws -> Void) throws
    /// One queue; fails with `.notFound` where there is none.
    func queue(_ name: String) throws -> JSON
    /// The exchanges whose names match a glob; `nil` is all.
    func exchanges(match: String?, each: (JSON) throws -> Void) throws
    /// All bindings, in the order in which they were made.
    func bindings(each: (JSON) throws -> Void) throws
    /// The name of the virtual host that all this is of.
    var virtualHost: String { get }
    /// The virtual hosts whose names match a glob; `nil` is all.
    func virtualHosts(match: String?, each: (JSON) throws -> Void) throws
    /// The same as another virtual host has it. From then on only that may be asked.
    func entering(_ virtualHost: String) throws -> any Source
    /// All policies.
    func policies(each: (JSON) throws -> Void) throws
    /// All users, with what stands for their passwords.
    func users(each: (JSON) throws -> Void) throws
    /// All permissions.
    func permissions(each: (JSON) throws -> Void) throws
    /// All topic permissions.
    func topicPermissions(each: (JSON) throws -> Void) throws
    /// The consumers of the queues whose names match a glob; `nil` is all.
    func consumers(match: String?, each: (JSON) throws -> Void) throws
    /// The first messages of a queue from a position on, at most 1,000 at a time.
    func peek(_ peek: PeekRequest, each: (JSON) throws -> Void) throws
    /// The rows of a read-only query.
    func query(_ sql: String, each: (JSON) throws -> Void) throws
    /// The way of a message.
    func route(exchange: String, key: String, headers: [HeaderArgument], each: (JSON) throws -> Void) throws
}

/// Which messages to look at. The answer may end before there are so many.
struct PeekRequest: Equatable {
    /// Messages in one request.
    static let countMax = 1000

    var queue: String
    /// 1–1,000 in one request.
    var count: Int
    /// The first position that counts.
    var from: Int
    var state: PeekState
    /// Only messages that meet this expression.
    var condition: String?
    /// With their bodies.
    var hasBodies = true
}

/// A state that messages can be seen in.
enum PeekState: String, CaseIterable {
    case ready
    case unacked
    case delayed
    case all

    /// The states that it is made of.
    var parts: [PeekState] { self == .all ? [.ready, .unacked, .delayed] : [self] }
}

extension Source {
    /// Asks; false where what was asked for isn't there any more, or is another connection's own.
    @discardableResult
    func unlessGone(_ ask: () throws -> Void) throws -> Bool {
        do {
            try ask()
            return true
        } catch let failure as Failure where [.notFound, .conflict].contains(failure.status) {
            return false
        }
    }

    /// Asks; what the user may not be told stays unknown.
    func unlessRefused(_ ask: () throws -> Void) throws {
        do { try ask() } catch let failure as Failure where failure.status == .refused {}
    }

    /// The bindings that lead to a queue.
    func bindings(of queue: String) throws -> [JSON] {
        var rows: [JSON] = []
        try bindings {
            guard $0["destination"]?.text == queue, $0["destination_type"]?.text == "queue" else { return }
            rows.append($0)
        }
        return rows
    }

    /// The consumers of a queue.
    func consumers(of queue: String) throws -> [JSON] {
        var rows: [JSON] = []
        // As a glob a name finds itself, and perhaps others.
        try consumers(match: queue) { if $0["queue"]?.text == queue { rows.append($0) } }
        return rows
    }

    /// One virtual host; fails with `.notFound` where there is none.
    func virtualHost(named name: String) throws -> JSON {
        var found: JSON?
        // As a glob a name finds itself, and perhaps others.
        try virtualHosts(match: name) { if $0.name == name { found = $0 } }
        if let found { return found }
        throw Failure(Reply.Refusal(code: 404, name: "NOT_FOUND", text: "no vhost '\(name.printable)'"))
    }

    /// One exchange; fails with `.notFound` where there is none.
    func exchange(_ name: String) throws -> JSON {
        var found: JSON?
        // As a glob a name finds itself, and perhaps others.
        try exchanges(match: name) { if $0["name"]?.text == name { found = $0 } }
        if let found { return found }
        let text = "no exchange '\(name.printable)' in vhost '\(virtualHost.printable)'"
        throw Failure(Reply.Refusal(code: 404, name: "NOT_FOUND", text: text))
    }
}

/// A running server.
struct ServerSource: Source {
    private let client: LineClient

    /// What the server at the other end of `client` has in the virtual host that the client has entered.
    init(_ client: LineClient) { self.client = client }

    var virtualHost: String { client.virtualHost }

    func virtualHosts(match: String?, each: (JSON) throws -> Void) throws {
        try client.rows(LineRequest("LIST").word("vhosts").option("match", match), each: each)
    }

    func entering(_ virtualHost: String) throws -> any Source {
        try client.enter(virtualHost)
        return self
    }

    func status() throws -> JSON { try one(LineRequest("STAT")) }

    func queues(match: String?, fields: [String]?, each: (JSON) throws -> Void) throws {
        let request = LineRequest("LIST").word("queues").option("match", match)
        try client.rows(request.option("fields", fields?.joined(separator: ",")), each: each)
    }

    /// Writes all of what the server knows of these queues, an object a line.
    func copyQueues(match: String?, to output: Output) throws(Failure) {
        try client.copyRows(LineRequest("LIST").word("queues").option("match", match), to: output)
    }

    func queue(_ name: String) throws -> JSON { try one(LineRequest("STAT").argument(name)) }

    func exchanges(match: String?, each: (JSON) throws -> Void) throws {
        try client.rows(LineRequest("LIST").word("exchanges").option("match", match), each: each)
    }

    func bindings(each: (JSON) throws -> Void) throws {
        try client.rows(LineRequest("LIST").word("bindings"), each: each)
    }

    func policies(each: (JSON) throws -> Void) throws {
        try client.rows(LineRequest("LIST").word("policies"), each: each)
    }

    func users(each: (JSON) throws -> Void) throws {
        try client.rows(LineRequest("USER").word("export"), each: each)
    }

    func permissions(each: (JSON) throws -> Void) throws {
        try client.rows(LineRequest("LIST").word("permissions"), each: each)
    }

    func topicPermissions(each: (JSON) throws -> Void) throws {
        try client.rows(LineRequest("LIST").word("topic-permissions"), each: each)
    }

    func consumers(match: String?, each: (JSON) throws -> Void) throws {
        try client.rows(LineRequest("LIST").word("consumers").option("match", match), each: each)
    }

    func peek(_ peek: PeekRequest, each: (JSON) throws -> Void) throws {
        let request = LineRequest("PEEK").argument(peek.queue).option("n", peek.count).option(
            "from",
            peek.from
        )
        try client.rows(
            request.option("state", peek.state.rawValue).option("where", peek.condition)
                .option("body", peek.hasBodies ? nil : "no"),
            each: each
        )
    }

    /// The same messages as IMPORT takes them: in `document` of rows that have else only what `MessagePages` goes by.
    func export(_ peek: PeekRequest, each: (JSON) throws -> Void) throws {
        let request = LineRequest("EXPORT").argument(peek.queue).option("n", peek.count)
            .option("from", peek.from).option("state", peek.state.rawValue).option("where", peek.condition)
        try client.rows(request) { try each($0.rowAroundDocument) }
    }

    func query(_ sql: String, each: (JSON) throws -> Void) throws {
        try client.rows(LineRequest("SQL").argument(sql), each: each)
    }

    func route(exchange: String, key: String, headers: [HeaderArgument], each: (JSON) throws -> Void) throws {
        try client.rows(LineRequest("ROUTE").argument(exchange).argument(key).headers(headers), each: each)
    }

    /// One user; fails with `.notFound` where there is none.
    func user(_ name: String) throws -> JSON {
        // As a glob a name finds itself, and perhaps others.
        let found = try all(LineRequest("LIST").word("users").option("match", name)) { $0.name == name }
        if let user = found.first { return user }
        throw Failure(Reply.Refusal(code: 404, name: "NOT_FOUND", text: "no user '\(name.printable)'"))
    }

    /// Why messages of a queue stand still.
    func why(_ queue: String) throws -> [JSON] { try all(LineRequest("WHY").argument(queue)) { _ in true } }

    /// The row of the queue that messages are to go to, or of the exchange; `nil` where the user may not be told. Fails
    /// where it is known not to be there.
    func target(queue: String?, exchange: String?) throws -> JSON? {
        var row: JSON?
        try unlessRefused {
            if let queue { row = try self.queue(queue) }
            if let exchange { row = try self.exchange(exchange) }
        }
        return row
    }

    /// Asks for something to be done.
    func ask(_ request: LineRequest) throws(Failure) { try client.ask(request) }

    /// Messages of a queue that are ready; fails with `.notFound` where there is no such queue.
    func ready(in queue: String) throws -> Int { try self.queue(queue)["ready"]?.int ?? 0 }

    /// True where these are bound with this pattern and headers of these names.
    func isBound(
        _ target: String, kind: String, to exchange: String, pattern: String, headers: Set<String>
    ) throws -> Bool {
        let found = try all(LineRequest("LIST").word("bindings")) { row in
            row["source"]?.text == exchange && row["destination"]?.text == target
                && row["destination_type"]?.text == kind && row["pattern"]?.text == pattern
                && row["arguments"].map(Self.names) == headers
        }
        return !found.isEmpty
    }

    /// The keys that something is bound to an exchange with.
    func keys(of exchange: String) throws -> [String] {
        try all(LineRequest("LIST").word("bindings")) { $0["source"]?.text == exchange }
            .compactMap { $0["pattern"]?.text }
    }

    private static func names(_ object: JSON) -> Set<String> {
        guard case .object(let fields) = object else { return [] }
        return Set(fields.map(\.name))
    }

    private func one(_ request: LineRequest) throws -> JSON {
        guard let row = try all(request, where: { _ in true }).first else { throw client.outOfStep() }
        return row
    }

    private func all(_ request: LineRequest, where isWanted: (JSON) -> Bool) throws -> [JSON] {
        var rows: [JSON] = []
        try client.rows(request) { if isWanted($0) { rows.append($0) } }
        return rows
    }
}
