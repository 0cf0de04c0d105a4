// Every refusal of the broker, for every door.

/// AMQP's reply codes (AMQP 0-9-1 §1.2) and RabbitMQ's use of them.
public enum ReplyCode: Int, Sendable, Hashable, CaseIterable {
    case noRoute = 312
    case connectionForced = 320
    case invalidPath = 402
    case accessRefused = 403
    case notFound = 404
    case resourceLocked = 405
    case preconditionFailed = 406
    case frameError = 501
    case syntaxError = 502
    case commandInvalid = 503
    case channelError = 504
    case resourceError = 506
    case notAllowed = 530
    case notImplemented = 540
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
        case .channelError: "CHANNEL_ERROR"
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
