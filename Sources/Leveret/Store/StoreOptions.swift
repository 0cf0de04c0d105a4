// What a store can be told, and how it says that something could not be done. The Broker makes the first and
// acts on the second; nothing here touches a file.

import LeveretCore

/// How a broker keeps its database file.
public struct StoreOptions: Sendable {
    /// What a confirm promises.
    public enum Durability: String, Sendable, CaseIterable {
        /// A confirmed message survives a power cut: SQLite's `synchronous=FULL`.
        case full
        /// A confirmed message survives the end of the process, but the last ones may be lost when the machine
        /// stops: SQLite's `synchronous=NORMAL`. The file stays sound.
        case normal
    }

    /// What a confirm promises; `full` by default.
    public var durability = Durability.full
    /// Copies the file before it is migrated to a newer schema; on by default.
    public var copyBeforeMigration = true

    /// Write-ahead log bytes from which a checkpoint is made beside the commits.
    var checkpointBytes = 32 << 20
    /// Write-ahead log bytes past which commits wait for a checkpoint.
    var logBytesMax = 256 << 20
    /// Write-ahead log bytes that are worth writing back when nothing else is to do.
    var idleLogBytes = 4 << 20
    /// Size of the reserve file that is given up when the disk is full.
    var reserveBytes = 16 << 20
    /// Rows that the ranges of one batch may remove.
    var rangeRowsMax = 10_000
    /// Ids that a run takes before the next one begins (IDRuns.swift).
    var idsPerRun = 8_192
    /// Free pages that an idle store leaves in the file for the next messages.
    var freePagesKept = 512

    /// The defaults.
    public init() {}
}

/// Why the store could not do what it was asked. Nothing of it was committed.
struct StoreFailure: Error, Hashable, Sendable {
    enum Kind: String, Sendable {
        /// There is no room on the disk; the same call may succeed once there is.
        case full
        /// Another program holds the file's lock; the same call may succeed soon.
        case busy
        /// The file, its folder or the file system can't be written.
        case readOnly
        /// The file's content is damaged.
        case corrupt
        /// The file doesn't even begin like a SQLite database.
        case notADatabase
        /// Anything else that the file system or SQLite reports.
        case io
    }

    var kind: Kind
    /// What failed, why, and what to do: one lower-case sentence.
    var text: String

    /// How a caller of the broker sees it.
    var brokerError: BrokerError {
        switch kind {
        case .full: BrokerError(.resourceError, text)
        case .busy: BrokerError(.resourceLocked, text)
        case .readOnly: BrokerError(.accessRefused, text)
        case .corrupt, .notADatabase, .io: BrokerError(.internalError, text)
        }
    }
}
