// What becomes of a job after an attempt: decided from the handler's end, carried out by Finisher.

import Leveret

/// What becomes of a job.
enum Verdict: Sendable {
    /// Done, with what the handler returned, as JSON.
    case completed(output: [UInt8]?)
    /// Failed; tried again after the wait.
    case retry(after: Duration, JobFailure)
    /// Failed for good.
    case discarded(JobFailure)
    /// No longer wanted.
    case cancelled(reason: String)
    /// Back to the queue without a failure, for so long.
    case snoozed(for: Duration)
    /// Back to the queue without having run: others of its key run. It is woken when they have ended, and at the latest
    /// after so long.
    case limited(for: Duration)
    /// Back to the queue at once, without a failure.
    case handedBack
    /// Nobody here knows its name.
    case unclaimed
}

extension Verdict {
    /// What the end of a handler means.
    static func of(
        _ result: Result<[UInt8]?, any Error>, stopped reason: StopReason?, _ envelope: JobEnvelope,
        retry: RetryPolicy, chance: Double, now: Instant
    ) -> Verdict {
        switch result {
        case .success(let output): return .completed(output: output)
        case .failure where reason == .cancelled: return .cancelled(reason: "cancelled while it ran")
        case .failure(let error as JobExit):
            switch error.way {
            case .snooze(let duration): return .snoozed(for: duration)
            case .discard(let text): return .discarded(failure(text, envelope, now))
            case .cancel(let text): return .cancelled(reason: text)
            }
        case .failure(let error as JobError) where error.code == .undecodable:
            return .discarded(failure(error.text, envelope, now))
        case .failure(let error):
            if reason == .shutdown { return .handedBack }
            let text =
                if case .timeout(let limit)? = reason { "it took longer than \(limit)" } else {
                    String(reflecting: error)
                }
            return failed(error, failure(text, envelope, now), envelope, retry: retry, chance: chance)
        }
    }

    private static func failed(
        _ error: any Error, _ failure: JobFailure, _ envelope: JobEnvelope, retry: RetryPolicy, chance: Double
    ) -> Verdict {
        guard envelope.attempt < envelope.maxAttempts,
            let wait = retry.delay(after: envelope.attempt, error, chance: chance)
        else { return .discarded(failure) }
        return .retry(after: wait, failure)
    }

    /// A failure with a text of bounded length.
    static func failure(_ text: String, _ envelope: JobEnvelope, _ now: Instant) -> JobFailure {
        var text = text
        if text.utf8.count > JobFailure.textBytesMax {
            text = String(decoding: text.utf8.prefix(JobFailure.textBytesMax - 3), as: UTF8.self)
        }
        return JobFailure(attempt: envelope.attempt, time: now, error: text)
    }
}
