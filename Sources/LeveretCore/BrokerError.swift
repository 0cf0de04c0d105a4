// Every refusal of the broker, for every door.

/// AMQP's reply codes (AMQP 0-9-1 §1.2) and RabbitMQ's use of them.
public enum ReplyCode: Int, Sendable, Hashable, CaseIterable {
    /// A mandatory message reached no queue.
    case noRoute = 312
    /// The broker shuts down, or the session is closed.
    case connectionForced = 320
    /// No such virtual host, or a path that leads nowhere.
    case invalidPath = 402
    /// Not permitted: a reserved name, an internal exchange, a queue with an exclusive consumer, a file.
    case accessRefused = 403
    /// No such queue, exchange or consumer.
    case notFound = 404
    /// Another connection's exclusive queue, or a file that another process has open.
    case resourceLocked = 405
    /// It is there but differs, a value is out of its range, or a message was settled before.
    case preconditionFailed = 406
    /// Bytes that can not be told apart into requests.
    case frameError = 501
    /// A request that is not written as it should be.
    case syntaxError = 502
    /// A request that does not belong there.
    case commandInvalid = 503
    /// No room: a limit is reached, a queue is full, or the disk takes no writes.
    case resourceError = 506
    /// Forbidden for everyone, or as things stand.
    case notAllowed = 530
    /// Leveret does not have it.
    case notImplemented = 540
    /// A fault of the broker or its database, not of who asked.
    case internalError = 541

    /// AMQP's name of the code, as clients see it.
    public var name: String {
        switch self {
        case .noRoute: "NO_ROUTE"
        case .connectionForced: "CONNECTION_FORCED"
        case .invalidPath: "INVALID_PATH"
        case .accessRefused: "ACCESS_REFUSED"
        case .notFound: "NOT_FOUND"
        case .resourceLocked: "RESOURCE_LOCKED"
        case .preconditionFailed: "PRECONDITION_FAILED"
        case .frameError: "FRAME_ERROR"
        case .syntaxError: "SYNTAX_ERROR"
        case .commandInvalid: "COMMAND_INVALID"
        case .resourceError: "RESOURCE_ERROR"
        case .notAllowed: "NOT_ALLOWED"
        case .notImplemented: "NOT_IMPLEMENTED"
        case .internalError: "INTERNAL_ERROR"
        }
    }
}

/// A refusal: what was refused, on what, why, and what to do. Nothing was changed.
public struct BrokerError: Error, Hashable, Sendable, CustomStringConvertible {
    /// AMQP's reply code.
    public var code: ReplyCode
    /// One lower-case sentence without a full stop that names the entity, what was found and expected.
    public var text: String
    /// The place of the request that was refused in its transaction, from 0; `nil` outside of one.
    public var part: Int?

    /// What is said of a queue that is not there.
    static func noQueue(_ name: QueueName, in vhost: VirtualHostName) -> BrokerError {
        BrokerError(.notFound, "no queue '\(name)' in vhost '\(vhost)'")
    }

    /// What is said of an exchange that is not there.
    static func noExchange(_ name: ExchangeName, in vhost: VirtualHostName) -> BrokerError {
        BrokerError(.notFound, "no exchange '\(name)' in vhost '\(vhost)'")
    }

    /// A refusal with this code and text.
    public init(_ code: ReplyCode, _ text: String) {
        self.code = code
        self.text = text
    }

    /// As a line client sees it: `406 PRECONDITION_FAILED text`.
    public var description: String {
        "\(code.rawValue) \(code.name) \(part.map { "request \($0 + 1): " } ?? "")\(text)"
    }
}
