// What is wrong with a store although it works: the broker shows it as an alarm and goes on. The store sets it on
// whichever thread finds it, the writer's thread hands it to the core.

import Synchronization

/// Something an operator should look at.
enum StoreWarning: Sendable, CaseIterable {
    /// A reader outside keeps the log from being written back.
    case pinnedLog
    /// Somebody else has written to the file.
    case foreignWrite
    /// Messages that should be read back can't be.
    case unreadable
    /// The broker before left a log behind that is gone.
    case missingLog

    /// What is wrong and what to do: one lower-case sentence.
    var text: String {
        switch self {
        case .pinnedLog:
            "a program that reads the database keeps its write-ahead log from being written back, and the log grows: "
                + "end that program's transaction"
        case .foreignWrite:
            "another program has written to the database, and the broker may contradict it: restart the broker, and "
                + "keep others from writing"
        case .unreadable:
            "messages can't be read from the database and their queues stand still: look at the log for the cause, and "
                + "at the disk"
        case .missingLog:
            "the broker before did not end in good order, and the database's write-ahead log (-wal) is gone: if "
                + "somebody deleted it, what was confirmed last is lost, unless a program such as sqlite3 had written "
                + "it back"
        }
    }
}

/// The warnings that hold.
final class StoreWarnings: Sendable {
    private let current = Mutex<Set<StoreWarning>>([])  // guards what holds

    func set(_ warning: StoreWarning) { current.withLock { _ = $0.insert(warning) } }

    func clear(_ warning: StoreWarning) { current.withLock { _ = $0.remove(warning) } }

    func contains(_ warning: StoreWarning) -> Bool { current.withLock { $0.contains(warning) } }

    /// Their texts, in one order.
    var texts: [String] {
        let current = current.withLock { $0 }
        return current.isEmpty ? [] : StoreWarning.allCases.filter(current.contains).map(\.text)
    }
}
