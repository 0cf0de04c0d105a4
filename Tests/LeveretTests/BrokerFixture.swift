// A broker on a file of its own that can be closed and opened again, and a clock that tests move by hand.

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
