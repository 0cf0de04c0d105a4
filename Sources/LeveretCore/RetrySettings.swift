// Delayed retry: how long a message that came back waits before it is tried again. Named as in RabbitMQ 4.3
// ("Quorum queues: delayed retries"), with two arguments of our own: the kind of backoff, and jitter.

/// Which returned messages are delayed.
public enum RetryType: String, Sendable, Hashable, CaseIterable {
    /// None.
    case disabled
    /// All that a consumer gave back.
    case all
    /// Those that were counted as failed.
    case failed
    /// Those that were given back free of charge.
    case returned
}

/// How the delay grows from one failure to the next.
public enum RetryBackoff: String, Sendable, Hashable, CaseIterable {
    /// The least delay once for each failure.
    case linear
    /// Twice as long each time.
    case exponential
}

/// When a returned message is tried again.
public struct RetrySettings: Sendable, Hashable {
    /// Which messages wait.
    public var type = RetryType.disabled
    /// The delay after the first failure, in milliseconds.
    public var delayMinMilliseconds: Int64 = 0
    /// The longest delay, in milliseconds.
    public var delayMaxMilliseconds = QueueSettings.millisecondsMax
    /// How the delay grows.
    public var backoff = RetryBackoff.linear
    /// By how much chance may shorten a delay, in percent of it.
    public var jitterPercent: Int64 = 0

    /// No delay.
    public init() {}

    /// True where a message that comes back like this waits.
    func delays(failure: Bool) -> Bool {
        switch type {
        case .disabled: false
        case .all: true
        case .failed: failure
        case .returned: !failure
        }
    }

    /// The delay of a message that has failed so often, in milliseconds, before chance shortens it. Free returns
    /// count as one failure.
    func delayMilliseconds(failed: Int32) -> Int64 {
        let times = Int64(max(1, failed))
        let delay: (partialValue: Int64, overflow: Bool)
        switch backoff {
        case .linear: delay = delayMinMilliseconds.multipliedReportingOverflow(by: times)
        case .exponential:
            delay =
                times > 33
                ? (0, delayMinMilliseconds > 0)
                : delayMinMilliseconds.multipliedReportingOverflow(by: 1 << (times - 1))
        }
        return delay.overflow ? delayMaxMilliseconds : min(delay.partialValue, delayMaxMilliseconds)
    }
}

extension RetrySettings {
    /// Reads the arguments of a queue. Throws 406 for a value of the wrong type or outside its range, and, where
    /// they are `isComplete`, for arguments that make no sense together.
    init(_ reader: ArgumentReader, isComplete: Bool, from least: Int64 = 1) throws(BrokerError) {
        if let word = try reader.word(QueueArgument.retryType, of: RetryType.allCases.map(\.rawValue)) {
            type = RetryType(rawValue: word) ?? .disabled
        }
        let range = least...QueueSettings.millisecondsMax
        let shortest = try reader.integer(QueueArgument.retryMin, in: range)
        delayMinMilliseconds = shortest ?? 0
        delayMaxMilliseconds = try reader.integer(QueueArgument.retryMax, in: range) ?? range.upperBound
        if let word = try reader.word(QueueArgument.retryBackoff, of: RetryBackoff.allCases.map(\.rawValue)) {
            backoff = RetryBackoff(rawValue: word) ?? .linear
        }
        jitterPercent = try reader.integer(QueueArgument.retryJitter, in: 0...100) ?? 0
        guard isComplete else { return }
        if type != .disabled, shortest == nil {
            throw reader.contradiction(
                QueueArgument.retryType, "'\(type.rawValue)' needs '\(QueueArgument.retryMin)' beside it")
        }
        if delayMinMilliseconds > delayMaxMilliseconds {
            throw reader.contradiction(
                QueueArgument.retryMin,
                "\(delayMinMilliseconds) is more than '\(QueueArgument.retryMax)', \(delayMaxMilliseconds)")
        }
    }

    /// Throws 406 for a header of a message that makes no sense.
    static func check(_ headers: FieldTable) throws(BrokerError) {
        _ = try RetrySettings(ArgumentReader(headers: headers), isComplete: false, from: 0)
    }

    /// These settings as a message's own headers of the same names have them; what makes no sense is passed over.
    func overridden(by headers: FieldTable) -> RetrySettings {
        let reader = ArgumentReader(headers: headers)
        func number(_ name: String, _ range: ClosedRange<Int64>) -> Int64? {
            (try? reader.integer(name, in: range)) ?? nil
        }
        func word(_ name: String) -> String {
            guard case .string(let value)? = headers[name] else { return "" }
            return value
        }
        let range = 0...QueueSettings.millisecondsMax
        var own = self
        own.type = RetryType(rawValue: word(QueueArgument.retryType)) ?? type
        own.delayMinMilliseconds = number(QueueArgument.retryMin, range) ?? delayMinMilliseconds
        own.delayMaxMilliseconds = number(QueueArgument.retryMax, range) ?? delayMaxMilliseconds
        own.backoff = RetryBackoff(rawValue: word(QueueArgument.retryBackoff)) ?? backoff
        own.jitterPercent = number(QueueArgument.retryJitter, 0...100) ?? jitterPercent
        return own
    }
}
