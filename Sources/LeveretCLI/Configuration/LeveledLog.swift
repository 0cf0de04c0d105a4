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

    /// What clients made up is in texts and metadata: nothing in it begins a line of its own or moves a cursor.
    func log(event: LogEvent) {
        var event = event
        event.message = "\(event.message.description.onOneLine)"
        event.metadata = event.metadata?.mapValues(\.onOneLine)
        lines.log(event: event)
    }
}

extension String {
    /// The text with every control character, and what else ends a line, spelled out.
    var onOneLine: String {
        guard unicodeScalars.contains(where: \.mustBeSpelled) else { return self }
        return unicodeScalars.reduce(into: "") { text, scalar in
            text += scalar.mustBeSpelled ? scalar.escaped(asASCII: true) : String(scalar)
        }
    }
}

extension Unicode.Scalar {
    fileprivate var mustBeSpelled: Bool {
        switch properties.generalCategory {
        case .control, .lineSeparator, .paragraphSeparator: true
        default: false
        }
    }
}

extension Logger.MetadataValue {
    fileprivate var onOneLine: Logger.MetadataValue {
        switch self {
        case .string(let text): .string(text.onOneLine)
        case .stringConvertible(let value): .string(value.description.onOneLine)
        case .array(let values): .array(values.map(\.onOneLine))
        case .dictionary(let values): .dictionary(values.mapValues(\.onOneLine))
        }
    }
}
