// A connection to a server's line protocol: one socket, no threads. Requests gather in a buffer and leave
// together; replies are read in order. While it writes it also reads, so neither side can wait for the other. With
// TLS, what is sent and received goes through a TLSEngine on its way.

#if canImport(Darwin)
import Darwin
#else
import Glibc
#endif

/// A client that sends requests and takes their replies, in order.
final class LineClient {
    /// Whom it talks to.
    let server: ServerAddress
    private let socket: CInt
    /// What ciphers, where the server is spoken to so.
    private let tls: TLSEngine?
    private var outgoing: [UInt8] = []
    private var incoming: [UInt8] = []
    /// What has been read of `incoming`.
    private var read = 0
    /// No line ends between `read` and here.
    private var searched = 0
    /// The other end takes and gives nothing more; what it said before may still be unread.
    private var isClosed = false
    /// Why nothing more will come, once that is known.
    private var end: String?
    /// The last `NOTE` that the server pushed, such as why it will close.
    private var note: String?
    /// The virtual host that it is in.
    private(set) var virtualHost = "/"
    /// The server's version, as its greeting says.
    private(set) var version = ""
    /// Bytes that a body may have, as the server's greeting says.
    private(set) var bodyBytesMax = Int.max

    /// Gathered requests leave at this many bytes.
    private static let outgoingBytesMax = 64 << 10
    private static let greetingMillisecondsMax: CInt = 5000
    /// So many milliseconds of silence are waited for; -1 is for ever.
    var silenceMillisecondsMax: CInt
    /// A greeting is short; whoever says more before it ends a line is no Leveret server.
    private static let greetingBytesMax = 4096

    /// Connects, makes sure that a Leveret server answers, and logs in.
    ///
    /// - Parameters:
    ///   - login: Who logs in; `nil` where nobody does.
    ///   - silenceMillisecondsMax: How many milliseconds of silence are waited for; -1 is for ever.
    /// - Throws: `Failure` with `.unreachable` when none does within 5 seconds, or within that; with `.refused` for a
    ///   wrong password.
    init(_ server: ServerAddress, as login: Login? = nil, silenceMillisecondsMax: CInt = -1) throws(Failure) {
        self.server = server
        self.silenceMillisecondsMax = silenceMillisecondsMax
        var tls: TLSEngine?
        if case .tls(let host, _) = server {
            tls = try TLSEngine(host: host, authorityPath: Terminal.environment("LEVERET_CA"))
        }
        self.tls = tls
        socket = try Self.connect(
            to: server, milliseconds: Self.greetingMilliseconds(within: silenceMillisecondsMax))
        if let tls { try shakeHands(tls) }
        send(LineRequest("HELLO").option("name", "leveret"))
        try flush()
        try greet()
        if let login { try ask(LineRequest("AUTH").argument(login.user), body: login.password) }
    }

    deinit { close(socket) }

    /// How long the greeting is waited for.
    private static func greetingMilliseconds(within silenceMillisecondsMax: CInt) -> CInt {
        silenceMillisecondsMax < 0
            ? greetingMillisecondsMax : min(silenceMillisecondsMax, greetingMillisecondsMax)
    }

    private var greetingMilliseconds: CInt { Self.greetingMilliseconds(within: silenceMillisecondsMax) }

    /// Gathers a request.
    func send(_ request: LineRequest) { request.append(to: &outgoing) }

    /// Gathers a request with a body.
    func send(_ request: LineRequest, body: some Collection<UInt8>) {
        request.append(to: &outgoing, body: body)
    }

    /// Gathers bytes that are requests already, and sends what has gathered when that is much.
    func send(gathering append: (inout [UInt8]) throws(Failure) -> Void) throws(Failure) {
        try append(&outgoing)
        if outgoing.count >= Self.outgoingBytesMax { try flush() }
    }

    /// Sends all that has gathered. Where the server has closed, `receive` says so, after its last words.
    func flush() throws(Failure) {
        var sent = 0
        if let tls { outgoing = tls.ciphered(outgoing) }
        while sent < outgoing.count, !isClosed {
            let count = outgoing.withUnsafeBytes { bytes in
                Self.write(socket, UnsafeRawBufferPointer(rebasing: bytes[sent...]))
            }
            if count >= 0 {
                sent += count
            } else if errno == EAGAIN {
                // The server may be waiting for us to read its replies.
                let ready = try wait(
                    for: CShort(POLLIN | POLLOUT), milliseconds: silenceMillisecondsMax)
                if ready & CShort(POLLIN) != 0 { _ = fill() }
            } else if errno != EINTR {
                isClosed = true
            }
        }
        outgoing.removeAll(keepingCapacity: true)
    }

    /// Sends one request and returns what its `OK` says.
    ///
    /// - Throws: `Failure` with the server's words when it refuses.
    @discardableResult
    func ask(_ request: LineRequest, body: [UInt8]? = nil) throws(Failure) -> String {
        if let body { send(request, body: body) } else { send(request) }
        try flush()
        switch try receive() {
        case .done(let text): return text
        case .refused(let refusal): throw Failure(refusal)
        case .nothing, .message, .row, .text, .push: throw outOfStep()
        }
    }

    /// Enters a virtual host, unless it is there already.
    ///
    /// - Throws: `Failure` with `.notFound` when there is no such virtual host.
    func enter(_ name: String) throws(Failure) {
        guard name != virtualHost else { return }
        try ask(LineRequest("VHOST").argument(name))
        virtualHost = name
    }

    /// Sends one request that is answered by rows, and hands each over as it comes.
    func rows(_ request: LineRequest, each: (JSON) throws -> Void) throws {
        send(request)
        try flush()
        while true {
            switch try receive() {
            case .row(let row): try each(row)
            case .done: return
            case .refused(let refusal): throw Failure(refusal)
            case .nothing, .message, .text, .push: throw outOfStep()
            }
        }
    }

    /// True where something has come that `receive` can begin with at once.
    var hasWaitingReply: Bool { read < incoming.count }

    /// The next reply; pushes, which answer nothing, are left out.
    func receive() throws(Failure) -> Reply {
        while true {
            switch try nextIfHere() {
            case .push?: continue
            case let reply?: return reply
            case nil: try fillBlocking()
            }
        }
    }

    /// What replies are read from, to wait for it together with others.
    var descriptor: CInt { socket }

    /// The next reply or push that has come; `nil` where all of it is not here yet.
    func receiveIfHere() throws(Failure) -> Reply? {
        while true {
            if let reply = try nextIfHere() { return reply }
            guard end != nil || Input.isReady(socket) else { return nil }
            if let why = fill() { throw lost(why) }
        }
    }

    /// Waits until more has come.
    func waitForMore() throws(Failure) { try fillBlocking() }

    /// Something came that is no answer to what was asked.
    func outOfStep(_ line: String? = nil) -> Failure {
        let what = line.map { "'\($0)'" } ?? "something else than was asked"
        return Failure(
            .unreachable,
            "\(server) answered \(what.printable): it is no Leveret server, or another version; name yours with "
                + "--url leveret://host:port"
        )
    }
}

// MARK: - Reading

extension LineClient {
    /// Sends one request that is answered by rows, and writes each, an object a line: as it came, unless something in
    /// it could steer a terminal.
    func copyRows(_ request: LineRequest, to output: Output) throws(Failure) {
        send(request)
        try flush()
        while true {
            while let end = incoming[max(read, searched)...].firstIndex(of: .lineFeed),
                incoming[read..<end].starts(with: Reply.rowPrefix)
            {
                let row = incoming[(read + Reply.rowPrefix.count)..<end]
                if row.first == UInt8(ascii: "{"), !row.contains(where: \.maySteer) {
                    output.write(bytes: incoming[(read + Reply.rowPrefix.count)...end])
                } else if let row = JSON(row) {
                    output.write(row.compact + "\n")
                } else {
                    throw outOfStep(String(decoding: row.prefix(80), as: UTF8.self))
                }
                read = end + 1
            }
            switch try nextIfHere() {
            case nil: try fillBlocking()
            case .done?: return
            case .refused(let refusal)?: throw Failure(refusal)
            case .push?: continue
            case .nothing?, .message?, .row?, .text?: throw outOfStep()
            }
        }
    }

    /// The next reply or push in `incoming`, if it is there to its end.
    private func nextIfHere() throws(Failure) -> Reply? {
        guard let end = incoming[max(read, searched)...].firstIndex(of: .lineFeed) else {
            searched = incoming.count
            return nil
        }
        searched = end
        let line = incoming[read..<(end > read && incoming[end - 1] == 0x0D ? end - 1 : end)]
        guard let (reply, bodyBytes) = Reply.parse(line) else {
            throw outOfStep(String(decoding: line.prefix(80), as: UTF8.self))
        }
        if case .message(var message) = reply, let bodyBytes {
            guard incoming.count - end - 1 > bodyBytes else { return nil }
            read = end + 1
            message.body = try nextBody(bodyBytes)
            return .message(message)
        }
        if case .push(let text) = reply, text.hasPrefix("NOTE ") { note = String(text.dropFirst(5)) }
        read = end + 1
        return reply
    }

    private func nextBody(_ count: Int) throws(Failure) -> [UInt8] {
        while incoming.count - read < count + 1 { try fillBlocking() }
        let body = Array(incoming[read..<read + count])
        read += count
        if incoming[read] == 0x0D { read += 1 }
        while incoming.count == read { try fillBlocking() }
        guard incoming[read] == .lineFeed else { throw outOfStep("a body longer than announced") }
        read += 1
        return body
    }

    private func fillBlocking() throws(Failure) {
        if end == nil { _ = try wait(for: CShort(POLLIN), milliseconds: silenceMillisecondsMax) }
        if let why = fill() { throw lost(why) }
    }

    /// Reads what is there; the caller knows that something is. Returns why nothing more has come or will.
    private func fill() -> String? {
        if let end { return end }
        if read == incoming.count {
            incoming.removeAll(keepingCapacity: true)
            (read, searched) = (0, 0)
        } else if read > 256 << 10 {
            incoming.removeSubrange(..<read)
            (read, searched) = (0, max(0, searched - read))
        }
        let before = incoming.count
        let count = withUnsafeTemporaryAllocation(byteCount: 64 << 10, alignment: 16) { buffer in
            let count = recv(socket, buffer.baseAddress, buffer.count, 0)
            guard count > 0 else { return count }
            if let tls {
                end = tls.take(UnsafeRawBufferPointer(rebasing: buffer[..<count]), into: &incoming)
            } else {
                incoming.append(contentsOf: buffer[..<count])
            }
            return count
        }
        if let end {
            isClosed = true
            // Last words may come together with the end.
            return incoming.count > before ? nil : end
        }
        if count > 0 || count < 0 && (errno == EAGAIN || errno == EINTR) { return nil }
        isClosed = true
        end = count == 0 ? TLSEngine.closedByServer : Self.reason(errno)
        return end
    }

    /// Waits until the socket can be read or written, and returns which.
    @discardableResult
    private func wait(for events: CShort, milliseconds: CInt) throws(Failure) -> CShort {
        var entry = pollfd(fd: socket, events: events, revents: 0)
        while true {
            let count = poll(&entry, 1, milliseconds)
            if count > 0 { return entry.revents & events == 0 ? CShort(POLLIN) : entry.revents }
            if count == 0 { throw silent }
            if errno != EINTR { throw lost(Self.reason(errno)) }
        }
    }

    /// Lets both sides say what TLS wants said before anything else.
    private func shakeHands(_ tls: TLSEngine) throws(Failure) {
        try flush()
        while !tls.isReady {
            _ = try wait(for: CShort(POLLIN), milliseconds: greetingMilliseconds)
            let problem = fill()
            try flush()
            guard let problem else { continue }
            let advice = problem == TLSEngine.closedByServer ? "; see its log" : ""
            throw Failure(.unreachable, "no TLS with \(server): \(problem)\(advice)")
        }
    }

    /// What stands behind `name` in a greeting.
    private static func value(of name: String, in greeting: String) -> String? {
        greeting.split(separator: " ").first { $0.hasPrefix(name) }.map { String($0.dropFirst(name.count)) }
    }

    private func greet() throws(Failure) {
        while !incoming.contains(.lineFeed) {
            _ = try wait(for: CShort(POLLIN), milliseconds: greetingMilliseconds)
            if let why = fill() { throw lost(why) }
            if incoming.count > Self.greetingBytesMax { throw outOfStep() }
        }
        switch try receive() {
        case .done(let text) where text.hasPrefix("leveret "):
            version = Self.value(of: "version=", in: text) ?? ""
            bodyBytesMax = Self.value(of: "max-body=", in: text).flatMap { Int($0) } ?? bodyBytesMax
        case .refused(let refusal): throw Failure(refusal)
        case .done, .nothing, .message, .row, .text, .push: throw outOfStep()
        }
    }

    private func lost(_ why: String) -> Failure {
        let why = note.map { "\(why) (it said: \($0.printable))" } ?? why
        return Failure(
            .unreachable,
            "the connection to \(server) was lost: \(why); see its log, and try again when it is up"
        )
    }

    private var silent: Failure {
        Failure(
            .unreachable,
            "\(server) takes connections but doesn't answer; see whether that is a Leveret server, or name another "
                + "with --url leveret://host:port"
        )
    }
}
