// Says in the log that connections are turned away: the first at once, those that follow by their number, once a
// second, so that a flood of clients is no flood of lines.

import Logging
import NIOCore
import Synchronization

/// The log of refused connections.
final class RefusalLog: Sendable {
    private let logger: Logger
    /// How many were refused since the last line; `nil` when the last second had none.
    private let unsaid = Mutex<Int?>(nil)  // guards the number

    init(logger: Logger) { self.logger = logger }

    /// Notes that one was refused.
    func refused(limit: Int, on loop: any EventLoop) {
        let isFirst = unsaid.withLock { unsaid in
            let isFirst = unsaid == nil
            unsaid = unsaid.map { $0 + 1 } ?? 0
            return isFirst
        }
        if isFirst { say(1, limit: limit, on: loop) }
    }

    private func say(_ count: Int, limit: Int, on loop: any EventLoop) {
        logger.warning(
            "connection refused: too many are open", metadata: ["limit": "\(limit)", "refused": "\(count)"])
        loop.scheduleTask(in: .seconds(1)) { [self] in
            let count = unsaid.withLock { unsaid in
                defer { unsaid = unsaid == 0 ? nil : 0 }
                return unsaid ?? 0
            }
            if count > 0 { say(count, limit: limit, on: loop) }
        }
    }
}
