// Jobs of a server, or of a file, as LeveretTasks looks at them: so that `leveret jobs` follows the rules of the
// library and none of its own.

import Leveret
import LeveretTasks
import LeveretWire

/// A server or a file that has jobs. Only with a client can they be changed.
struct SourceJobStore: JobStore {
    private let source: any Source
    private let client: LineClient?

    /// The jobs of what only reads.
    init(_ source: any Source) {
        self.source = source
        client = nil
    }

    /// The jobs of the server at the other end of `client`.
    init(_ client: LineClient) {
        source = ServerSource(client)
        self.client = client
    }

    var now: Instant { Instant(milliseconds: Terminal.now) }

    func queues(named pattern: String) throws -> [QueueName] {
        var names: [QueueName] = []
        try source.queues(match: pattern, fields: ["name"]) { names.append(QueueName($0.name)) }
        return names
    }

    func messages(_ peek: Peek) throws -> [PeekedMessage] {
        var messages: [PeekedMessage] = []
        let state = peek.state.flatMap { PeekState(rawValue: $0.rawValue) } ?? .all
        let request = PeekRequest(
            queue: peek.queue.rawValue, count: peek.countMax, from: Int(peek.from.rawValue), state: state,
            condition: peek.condition)
        try source.unlessGone {
            try source.messages(request) { row in messages.append(try PeekedMessage(row: row)) }
        }
        return messages
    }

    func message(knownAs id: String, in queue: QueueName) throws -> KnownMessage? {
        let query = KnownMessage.query([id], in: queue, of: VirtualHostName(source.virtualHost))
        var found: KnownMessage?
        do {
            try source.query(query) { row in
                found = KnownMessage(
                    number: MessageNumber(Int64(row.count("number"))), place: Int64(row.count("place")),
                    id: JobID(row["job"]?.text ?? id))
            }
        } catch let failure as Failure where failure.status == .refused {
            // Queries are for administrators. Whoever is none has each message looked at instead.
            let peek = Peek(queue, state: nil, countMax: 1, where: KnownMessage.condition(id))
            found = try messages(peek).first.map {
                KnownMessage(
                    number: $0.number, place: 0, id: JobID($0.message.properties?.messageID ?? id))
            }
        }
        return found
    }

    /// True for a job that waits for others, or runs, and that a worker is asked to cancel which has not looked yet.
    func isToBeCancelled(_ job: JobInfo) throws -> Bool {
        try [.dependent, .running].contains(job.state)
            && message(knownAs: "\(job.id)!", in: .dependentJobs) != nil
    }

    func publish(all messages: [OutgoingMessage]) throws -> [Int] {
        try messages.map { message in
            let request = LineRequest("PUB").argument(message.exchange.rawValue).argument(message.routingKey)
            let answer = try writer().ask(request.word("document"), body: Self.document(message))
            return Int(answer) ?? 0
        }
    }

    func change(_ edit: MessageEdit) throws -> Bool {
        var request = LineRequest("EDIT").argument(edit.queue.rawValue).argument(edit.position.rawValue)
        request = request.option("delay", edit.delayMilliseconds.map { Int($0) })
        for header in edit.headers.fields {
            guard let value = JSON(JSONText.write(header.value).utf8) else { continue }
            request = request.header(header.name, value)
        }
        return try source.unlessGone { try writer().ask(request) }
    }

    func remove(_ number: MessageNumber, from queue: QueueName) throws -> Bool {
        let request = LineRequest("CANCEL").argument(queue.rawValue).argument(number.rawValue)
        return try source.unlessGone { try writer().ask(request) }
    }

    private func writer() throws(Failure) -> LineClient {
        guard let client else { throw Failure(.refused, "a file that is read can't be changed") }
        return client
    }

    /// A message as IMPORT and PUB take it.
    private static func document(_ message: OutgoingMessage) -> [UInt8] {
        let peeked = PeekedMessage(
            number: 0, state: .ready,
            message: Message(
                exchange: message.exchange, routingKey: message.routingKey, properties: message.properties,
                isPersistent: message.isPersistent, body: message.body),
            entered: 0, expires: nil, deliveries: 0, failed: 0, deaths: nil)
        return Array(MessageDocument.write(peeked, in: QueueName("")).utf8)
    }
}

extension PeekedMessage {
    /// The message in a row of PEEK; of its deaths nothing.
    ///
    /// - Throws: `BrokerError` for a row that is none.
    fileprivate init(row: JSON) throws(BrokerError) {
        var document = JSON.object([])
        for name in ["exchange", "key", "headers", "body", "body64"] {
            if let value = row[name] { document = document.with(name, value) }
        }
        var properties = row["properties"] ?? .object([])
        if let priority = row["priority"], priority != .null {
            properties = properties.with("priority", priority)
        }
        document = document.with("properties", properties)
        let restored = try MessageDocument.read(Array(document.compact.utf8), for: QueueName(""))
        func time(_ name: String) -> Instant? { row.time(name).map { Instant(milliseconds: $0) } }
        self.init(
            number: MessageNumber(Int64(row.position)),
            place: row["place"]?.int.map { MessageNumber(Int64($0)) }, version: row.count("version"),
            state: row["state"]?.text.flatMap(Peek.State.init(rawValue:)) ?? .ready,
            message: restored.message, entered: time("entered") ?? 0, expires: time("expires"),
            due: time("due"), deliveries: row.count("deliveries"), failed: row.count("failed"),
            heldBy: row["held_by"]?.text, heldSince: time("held_since"), deaths: nil)
    }
}
