// One step of a simulation as plain data. A run is a header and a list of these, one JSON object a line:
// that is the script which a failure prints and the simulator can read back.

import Foundation

/// A message as an operation describes it; its body is made of a running number when it is published.
struct Publication: Codable, Hashable {
    var exchange: String
    var key: String
    var persistent = true
    var mandatory = false
    var expiration: String?
    var cc: [String] = []
    var headers: [String: Int64] = [:]
    var dedupID: String?
    var size = 8
    var priority: UInt8?
    var delay: Int64?
}

/// What an edit makes of a message; its body is filled with something else, too.
struct Content: Codable, Hashable {
    var key: String?
    var ttl: Int64?
    var headers: [String: Int64] = [:]
    var size: Int?
}

/// What becomes of a held message.
enum Outcome: String, Codable, Hashable, CaseIterable {
    case ack
    case requeue
    case fail
    case deadLetter
}

/// A settlement as an operation describes it.
struct Settling: Codable, Hashable {
    var tag: UInt64
    var outcome: Outcome
    var multiple = false
    var delay: Int64?
}

/// One part of a transaction.
enum TransactionPart: Codable, Hashable {
    case publish(Publication)
    case settle(Settling)
}

/// What a MOVE looks for, in SQL. The model and the plain store know what each means.
enum Condition: String, Codable, Hashable, CaseIterable {
    case anything = "1"
    case isLong = "size > 20"
    case isShort = "NOT size > 20"
    case hasKey = "key = 'a'"
    case hasHeader = "headers ->> 'h' = 1"
    case hasFailed = "failed > 0"
    case wasDelivered = "deliveries > 0"

    /// True for a message like this.
    func isMet(size: Int, key: String, header: Int64?, failed: Int, deliveries: Int) -> Bool {
        switch self {
        case .anything: true
        case .isLong: size > 20
        case .isShort: size <= 20
        case .hasKey: key == "a"
        case .hasHeader: header == 1
        case .hasFailed: failed > 0
        case .wasDelivered: deliveries > 0
        }
    }
}

/// An argument of a declaration.
enum ArgumentValue: Codable, Hashable {
    case number(Int64)
    case text(String)
    case flag(Bool)
}

/// What a session asks for.
enum Call: Codable, Hashable {
    case publish(Publication)
    case transaction([TransactionPart])
    case settle(Settling)
    case settleAtCommit(Settling)
    case rollBack
    case get(queue: String, autoAck: Bool, wait: Int64)
    case consume(
        queue: String, tag: String, prefetch: Int, autoAck: Bool, exclusive: Bool, priority: Int32,
        timeout: Int64?, countsFirst: Bool)
    case touch(tag: UInt64, milliseconds: Int64?)
    case cancel(tag: String, requeue: Bool)
    case prefetch(Int)
    case recover
    case declareExchange(
        name: String, type: String, durable: Bool, autoDelete: Bool, isInternal: Bool, alternate: String?,
        deduplicate: Int64?)
    case deleteExchange(name: String, ifUnused: Bool)
    case declareQueue(
        name: String, durable: Bool, exclusive: Bool, autoDelete: Bool, arguments: [String: ArgumentValue])
    case deleteQueue(name: String, ifUnused: Bool, ifEmpty: Bool)
    case bind(
        source: String, target: String, toExchange: Bool, key: String, arguments: [String: ArgumentValue])
    case unbind(
        source: String, target: String, toExchange: Bool, key: String, arguments: [String: ArgumentValue])
    case purge(queue: String)
    case pause(queue: String, isPaused: Bool)
    case setPolicy(
        name: String, pattern: String, appliesTo: String, priority: Int32, isOperator: Bool,
        arguments: [String: ArgumentValue])
    case deletePolicy(name: String, isOperator: Bool)
    case move(
        source: String, toQueue: String?, toExchange: String?, key: String?, countMax: Int?,
        condition: Condition?)
    case peek(queue: String, state: String)
    case cancelMessage(queue: String, position: Int64)
    case edit(queue: String, position: Int64, version: Int?, delay: Int64?, content: Content?)
    case enter(vhost: String)
    case createVirtualHost(name: String)
    case deleteVirtualHost(name: String)
    case limitVirtualHost(name: String, queuesMax: Int?)
}

/// One step.
enum Operation: Codable, Hashable {
    /// Opens the session in a slot, and its connection where that is closed.
    case open(session: Int)
    case close(session: Int)
    /// Closes a connection and with it every session on it.
    case disconnect(connection: Int)
    case call(session: Int, Call)
    case drain(session: Int)
    case advance(milliseconds: Int64)
    case wake
    case work
    /// Takes the batch that has gathered.
    case take
    /// The writer fails with the batch in flight; it is kept.
    case fail
    case commit
    /// Reads for the outstanding load at this index (modulo), and keeps the answer.
    case read(Int)
    /// Hands the core the kept answer at this index (modulo).
    case answer(Int)
    /// Makes the outstanding search at this index (modulo), and keeps what it finds.
    case search(Int)
    /// Hands the core what the search at this index (modulo) has found.
    case found(Int)
    case setAlarm(Bool)
    /// Serves everything until nothing is left to do, then compares the core with the model.
    case settleAll
    /// Throws the core away; `commits` says whether the batch in flight still reached the disk.
    case crash(commits: Bool)
    /// Shuts down in order and opens again.
    case restart
}

/// Everything that makes a run what it is.
struct Script {
    struct Header: Codable {
        var seed: UInt64
        var style: Style
    }

    var header: Header
    var operations: [Operation]

    /// The script as text, one JSON object a line.
    var text: String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        func line(_ value: some Encodable) -> String {
            (try? encoder.encode(value)).map { String(decoding: $0, as: UTF8.self) } ?? "?"
        }
        return ([line(header)] + operations.map { line($0) }).joined(separator: "\n") + "\n"
    }

    init(header: Header, operations: [Operation]) {
        self.header = header
        self.operations = operations
    }

    /// Reads back what `text` wrote.
    init(text: String) throws {
        let lines = text.split(separator: "\n").map { Data($0.utf8) }
        let decoder = JSONDecoder()
        guard let first = lines.first else { throw Violation("the script is empty") }
        header = try decoder.decode(Header.self, from: first)
        operations = try lines.dropFirst().map { try decoder.decode(Operation.self, from: $0) }
    }
}

/// A promise that was broken.
struct Violation: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) { self.description = description }
}
