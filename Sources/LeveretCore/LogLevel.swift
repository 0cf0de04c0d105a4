// How much is logged, as LOG says it. The core logs nothing: it passes the wish on to the program around it.

/// From which weight on the program that the broker runs in logs; the words are those of swift-log.
public enum LogLevel: String, Hashable, Sendable, CaseIterable {
    /// Every step.
    case trace
    /// What helps to find a mistake: each connection that opens or closes.
    case debug
    /// What happens: starts, ends, clients that are refused.
    case info
    /// What is worth a look.
    case notice
    /// What may become a problem.
    case warning
    /// What went wrong.
    case error
    /// What can't go on.
    case critical
}

extension BrokerCore {
    /// Passes the wish on, where somebody takes it.
    mutating func setLogLevel(_ level: LogLevel, _ ticket: Ticket, _ session: Session) {
        guard facts.logLevel != nil else {
            let text = "what is logged is up to the program that the broker runs in"
            return answer(session, ticket, .refused(BrokerError(.notImplemented, text)))
        }
        facts.logLevel = level
        outputs.logLevel = level
        answer(session, ticket, .done)
    }
}
