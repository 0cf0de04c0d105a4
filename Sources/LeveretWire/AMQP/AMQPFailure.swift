// What goes wrong on an AMQP connection, as channel.close and connection.close tell it (AMQP 0-9-1 §1.2, §4.10).

import LeveretCore

/// An exception of AMQP: it closes the channel, or the whole connection.
struct AMQPFailure: Error, Sendable {
    /// What it closes.
    enum Scope: Sendable {
        case channel
        case connection
    }

    /// A reply text has at most so many octets; a longer one ends in three dots (RabbitMQ).
    private static let textBytesMax = 255

    var code: UInt16
    /// `NAME - detail`, at most 255 octets.
    var text: String
    var scope: Scope
    /// The class and the method that caused it; 0 for none.
    var method: UInt32 = 0

    /// A failure with one of the broker's codes. It closes the channel where AMQP calls the code a channel exception.
    init(_ code: ReplyCode, _ detail: String, _ method: AMQPMethodID? = nil) {
        let isSoft: Bool =
            switch code {
            case .accessRefused, .notFound, .resourceLocked, .preconditionFailed, .noRoute, .resourceError:
                true
            default: false
            }
        self.init(UInt16(code.rawValue), code.name, detail, isSoft ? .channel : .connection, method)
    }

    private init(
        _ code: UInt16, _ name: String, _ detail: String, _ scope: Scope, _ method: AMQPMethodID?
    ) {
        self.code = code
        text = Self.cut("\(name) - \(detail)")
        self.scope = scope
        self.method = method?.rawValue ?? 0
    }

    /// 504: a channel is not in the state for this.
    static func channelError(_ detail: String, _ method: AMQPMethodID? = nil) -> AMQPFailure {
        AMQPFailure(504, "CHANNEL_ERROR", detail, .connection, method)
    }

    /// 505: a frame where another kind was due.
    static func unexpectedFrame(_ detail: String, _ method: AMQPMethodID? = nil) -> AMQPFailure {
        AMQPFailure(505, "UNEXPECTED_FRAME", detail, .connection, method)
    }

    /// 501: bytes that are no frame, or a frame that holds no method.
    static func frameError(_ detail: String, method: UInt32 = 0) -> AMQPFailure {
        var failure = AMQPFailure(.frameError, detail)
        failure.method = method
        return failure
    }

    /// 320, for a connection that is closed from here; the reason stands as it was given.
    static func forced(_ reason: String) -> AMQPFailure { AMQPFailure(.connectionForced, reason) }

    private static func cut(_ text: String) -> String {
        guard text.utf8.count > textBytesMax else { return text }
        var cut = Substring(text)
        while cut.utf8.count > textBytesMax - 3 {
            cut = cut.dropLast(max(1, (cut.utf8.count - textBytesMax) / 4))
        }
        return cut + "..."
    }
}
