// The log of `serve`: swift-log's lines on standard error, with one level for the whole process that can be changed
// while it runs.

import Logging
import Synchronization

/// The level from which on lines are written.
final class ProcessLogLevel: Sendable {
    private let level: Mutex<Logger.Level>  // guards the level

    init(_ level: Logger.Level) { self.level = Mutex(level) }

    var current: Logger.Level { level.withLock { $0 } }

    func set(_ new: Logger.Level) { level.withLock { $0 = new } }
}

/// Writes what the process's level lets through.
struct LeveledLog: LogHandler {
    private var lines: StreamLogHandler
    private let level: ProcessLogLevel

    init(label: String, level: ProcessLogLevel) {
        lines = StreamLogHandler.standardError(label: label)
        lines.logLevel = .trace
        self.level = level
    }

    var metadata: Logger.Metadata {
        get { lines.metadata }
        set { lines.metadata = newValue }
    }

    /// The process's; a logger has none of its own.
    var logLevel: Logger.Level {
        get { level.current }
        set {}  // one level for all
    }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { lines[metadataKey: key] }
        set { lines[metadataKey: key] = newValue }
    }

    func log(event: LogEvent) { lines.log(event: event) }
}
