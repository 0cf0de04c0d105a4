// A failure that lasts, said once and not each time. The writer and the reader keep one each, for what they try again
// and again.

import Logging

/// Keeps a failure that lasts from filling the log: the same cause is logged once a minute.
struct Complaint {
    private var text = ""
    private var next = ContinuousClock.now

    /// Logs `text` unless it did within the last minute.
    mutating func say(_ text: String, to logger: Logger) {
        let now = ContinuousClock.now
        guard text != self.text || now >= next else { return }
        self.text = text
        next = now + .seconds(60)
        logger.error("\(text)")
    }
}
