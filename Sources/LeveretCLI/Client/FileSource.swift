// A database file as commands that only read see it: beside a running server, or with none. It knows what is
// stored: no consumers, no rates, no transient messages.

import Leveret
import LeveretWire

/// The rows of a database file.
struct FileSource: Source {
    private let inspector: DatabaseInspector
    private let path: String

    /// Opens the file at `path`.
    init(path: String) throws(Failure) {
        self.path = path
        do {
            inspector = try DatabaseInspector(path: path)
        } catch {
            throw Failure(error)
        }
    }

    func status() throws -> JSON {
        let queues = try inspector.queues()
        return .object([
            .init(name: "database", value: .string(path)),
            .init(name: "database_bytes", value: .int(Input.size(at: path) + Input.size(at: path + "-wal"))),
            .init(name: "queues", value: .int(queues.count)),
            .init(name: "exchanges", value: .int(try inspector.exchanges().count)),
            .init(name: "ready", value: .int(queues.reduce(0) { $0 + $1.ready })),
            .init(name: "unacked", value: .int(queues.reduce(0) { $0 + $1.unacked })),
        ])
    }

    func queues(match: String?, each: (JSON) throws -> Void) throws {
        let glob = match.map { Glob($0) }
        for queue in try inspector.queues() where glob?.matches(queue.definition.name.rawValue) ?? true {
            try each(try row(ListingRow.queue(queue)))
        }
    }

    func queue(_ name: String) throws -> JSON {
        try row(ListingRow.queue(try inspector.queue(QueueName(name))))
    }

    func bindings(of queue: String) throws -> [JSON] {
        try inspector.bindings().filter { $0.target == .queue(QueueName(queue)) }.map {
            try row(ListingRow.binding($0))
        }
    }

    func consumers(of queue: String) throws -> [JSON] { [] }

    func peek(_ peek: PeekRequest, each: (JSON) throws -> Void) throws {
        let messages = try inspector.peek(
            Peek(
                QueueName(peek.queue), state: peek.unacked ? .unacked : .ready,
                from: MessageNumber(Int64(peek.from)),
                countMax: peek.count
            )
        )
        for message in messages { try each(try row(ListingRow.message(message))) }
    }

    /// Routes through a broker's core that knows the file's topology and nothing else.
    func route(exchange: String, key: String, headers: [HeaderArgument], each: (JSON) throws -> Void) throws {
        var state = RecoveredState()
        state.exchanges = try inspector.exchanges().map(\.definition)
        state.bindings = try inspector.bindings()
        state.queues = try inspector.queues().enumerated().map { index, queue in
            RecoveredQueue(
                id: QueueID(Int64(index + 1)), definition: queue.definition, count: 0, bytes: 0,
                nextExpiry: .distantFuture, oldest: nil
            )
        }
        state.nextQueueID = QueueID(Int64(state.queues.count + 1))
        var properties = MessageProperties()
        for header in headers { properties.headers[header.name] = try header.fieldValue() }
        let message = Message(
            exchange: ExchangeName(exchange), routingKey: key,
            properties: properties.isEmpty ? nil : properties, body: []
        )
        var core = BrokerCore(seed: 0)
        core.recover(state, now: 0)
        let session = core.openSession(on: core.openConnection(name: "leveret", now: 0), now: 0)
        core.submit(0, .route(message), from: session, now: 0)
        var events: [SessionEvent] = []
        core.drain(session, into: &events, now: 0)
        for case .answer(_, let answer) in events {
            switch answer {
            case .routes(let steps): for step in steps { try each(try row(ListingRow.route(step))) }
            case .refused(let error): throw Failure(error)
            default: continue
            }
        }
    }

    private func row(_ text: String) throws(Failure) -> JSON {
        guard let row = JSON(text.utf8) else {
            throw Failure(.refused, "database '\(path)' holds a row that can't be shown")
        }
        return row
    }
}

extension Failure {
    /// A refusal by a broker or a file in this process.
    init(_ error: BrokerError) {
        self.init(CommandStatus(replyCode: error.code.rawValue), error.text)
    }
}

extension HeaderArgument {
    /// The value as the broker knows it.
    func fieldValue() throws(BrokerError) -> FieldValue {
        switch value {
        case .string(let text): .string(text)
        case .bare(let word), .json(let word): try JSONText.read(word)
        }
    }
}
