// What the tests of LeveretTasks share: a broker in memory whose clock is moved by hand, kinds of jobs, and a worker
// that runs while a test looks on.

import Leveret
import LeveretTasks
import Logging
import ServiceLifecycle
import Synchronization

/// A time that tests move.
final class Hand: Sendable {
    private let milliseconds = Mutex<Int64>(1_790_000_000_000)

    var now: Instant { milliseconds.withLock { Instant(milliseconds: $0) } }

    func advance(_ by: Int64) { milliseconds.withLock { $0 += by } }
}

/// What handlers have done, in order.
final class Journal: Sendable {
    private let lines = Mutex<[String]>([])

    var all: [String] { lines.withLock { $0 } }

    func note(_ line: String) { lines.withLock { $0.append(line) } }
}

/// A clock whose sleepers wait for what a test says instead. What else of it is asked for, it says that no time passes.
struct ScriptedClock: Clock {
    private let start = ContinuousClock().now
    private let sleeping: @Sendable (Duration) async throws -> Void

    init(_ sleeping: @escaping @Sendable (Duration) async throws -> Void) { self.sleeping = sleeping }

    var now: ContinuousClock.Instant { start }
    var minimumResolution: Duration { .zero }

    func sleep(until deadline: ContinuousClock.Instant, tolerance: Duration?) async throws {
        try await sleeping(start.duration(to: deadline))
    }
}

/// Never returns before its task is cancelled.
func forever() async throws {
    let (stream, continuation) = AsyncStream.makeStream(of: Void.self)
    for await _ in stream {}
    withExtendedLifetime(continuation) {}
    throw CancellationError()
}

struct Greet: Job {
    static let name = "greet"
    var who: String
}

/// A broker in memory, its time in the hand of the test.
struct Bench {
    let hand: Hand
    let broker: Broker
    let jobs: Jobs
    let journal = Journal()

    init(
        _ storage: Broker.Storage = .memory, hand: Hand = Hand(), limits: CoreLimits = CoreLimits(),
        configure: (inout Jobs.Configuration) -> Void = { _ in }
    ) throws {
        self.hand = hand
        var configuration = Self.brokerConfiguration(hand)
        configuration.limits = limits
        broker = try Broker(storage, configuration: configuration)
        var tasks = Jobs.Configuration()
        tasks.seed = 1
        tasks.logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        configure(&tasks)
        jobs = Jobs(broker, configuration: tasks)
    }

    /// A broker's, whose time is in `hand`.
    static func brokerConfiguration(_ hand: Hand) -> Broker.Configuration {
        var configuration = Broker.Configuration()
        configuration.clock = BrokerClock(pollMilliseconds: 1) { hand.now }
        configuration.seed = 1
        configuration.logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        return configuration
    }

    /// Runs a worker while `body` does its part, and ends it gracefully.
    func working(
        on queues: [JobQueue: JobWorker.QueueOptions] = [.default: 4], shutdownLimit: Duration = .seconds(25),
        _ register: (inout JobHandlers) throws -> Void, while body: () async throws -> Void
    ) async throws {
        let worker = try JobWorker(jobs, queues: queues, shutdownLimit: shutdownLimit, register: register)
        let group = ServiceGroup(services: [worker], logger: Logger(label: "test"))
        try await withThrowingTaskGroup(of: Void.self) { tasks in
            tasks.addTask { try await group.run() }
            do {
                try await body()
            } catch {
                await group.triggerGracefulShutdown()
                throw error
            }
            await group.triggerGracefulShutdown()
            try await tasks.waitForAll()
        }
    }

    /// Waits until a queue of the broker has so many messages, in all of its states.
    func reaches(_ count: Int, in queue: QueueName) async throws {
        try await until {
            let status = try await broker.status(of: queue)
            return status.ready + status.delayed + status.unacked == count
        }
    }

    /// Waits until the jobs that a worker holds are settled, and nothing is ready.
    func settles(_ queue: JobQueue = .default, waiting: Int = 0) async throws {
        try await until {
            let status = try await broker.status(of: queue.waiting)
            return status.ready == 0 && status.unacked == 0 && status.delayed == waiting
        }
    }
}

/// Waits for a condition that other tasks bring about.
func until(_ condition: () async throws -> Bool) async throws {
    while try await !condition() {
        try Task.checkCancellation()
        await Task.yield()
    }
}
