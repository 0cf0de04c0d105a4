// A broker on a file of its own that can be closed and opened again, a clock that tests move by hand, and ways
// to stand in the way of its commits.

import Foundation
import LeveretTestSupport
import Logging
import Synchronization

@testable import Leveret

/// A folder with a database file in it, for brokers one after the other.
struct BrokerFixture: ~Copyable {
    private let folder: TemporaryFolder
    var configuration = Broker.Configuration()

    var path: String { folder.path("leveret.db") }

    init() throws {
        folder = try TemporaryFolder()
        configuration.logger = .silent
    }

    func open() throws(BrokerError) -> Broker { try Broker(.file(path), configuration: configuration) }

    /// A broker that keeps nothing.
    static func inMemory(_ change: (inout Broker.Configuration) -> Void = { _ in }) throws -> Broker {
        var configuration = Broker.Configuration()
        configuration.logger = .silent
        change(&configuration)
        return try Broker(.memory, configuration: configuration)
    }
}

/// A clock that stands still until it is moved.
final class HandClock: Sendable {
    private let milliseconds = Mutex<Int64>(1_000_000)

    var clock: BrokerClock {
        BrokerClock(pollMilliseconds: 1) { [self] in Instant(milliseconds: milliseconds.withLock { $0 }) }
    }

    func advance(milliseconds count: Int64) { milliseconds.withLock { $0 += count } }
}

extension Consumer {
    /// The next `count` messages; fewer when the sequence ends before.
    func take(_ count: Int) async throws -> [ConsumedMessage] {
        var messages: [ConsumedMessage] = []
        guard count > 0 else { return [] }
        for try await message in self {
            messages.append(message)
            if messages.count == count { break }
        }
        return messages
    }
}

/// Waits until `condition` holds; the test's time limit is what ends it when it never does.
func eventually(_ condition: () async throws -> Bool) async throws {
    while try await !condition() { await Task.yield() }
}

/// A foreign connection that looks into the database, and stands in the way of its commits.
struct Blocker {
    private let queue: DatabaseQueue

    init(path: String) throws {
        queue = try DatabaseQueue(path: path, Database.Options(busyMilliseconds: 60_000))
    }

    /// Takes the lock that a commit needs: commits wait for a second, then fail.
    func block() throws { try queue.lend { try $0.run("BEGIN IMMEDIATE") } }
    func release() throws { try queue.lend { try $0.run("ROLLBACK") } }

    /// Lets every commit with a message in it fail at once, as a full disk does.
    func refuseMessages() throws {
        let sql = "CREATE TRIGGER full BEFORE INSERT ON message BEGIN SELECT RAISE(ABORT, 'full'); END"
        try queue.lend { try $0.runScript(sql) }
    }
    func takeMessages() throws { try queue.lend { try $0.runScript("DROP TRIGGER full") } }

    /// How many rows `table` has on disk.
    func count(_ table: String) throws -> Int {
        Int(try queue.lend { try $0.number("SELECT count(*) FROM \(table)") })
    }
}

/// Holds the writer after a failed commit until it is opened.
final class Gate: Sendable {
    private let opened = Signal()
    private let reached = Atomic(false)

    var isReached: Bool { reached.load(ordering: .acquiring) }

    func open() { opened.raise() }

    /// To be the configuration's `retryMilliseconds`.
    func retryMilliseconds(_ attempt: Int) -> Int {
        if attempt == 1 {
            reached.store(true, ordering: .releasing)
            opened.wait()
        }
        return 1
    }
}

/// Lets other tasks run for a while: what they wait for must not depend on it.
func yieldOften() async { for _ in 0..<100 { await Task.yield() } }
