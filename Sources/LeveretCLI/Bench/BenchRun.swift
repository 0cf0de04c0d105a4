// What the threads of a bench share: what is wanted, what has been done, and the first thing that went wrong. Each
// producer and each consumer is a thread with a connection of its own.

import Leveret
import Synchronization

/// What a bench does.
struct BenchPlan: Sendable {
    var server: ServerTarget
    var login: Login?
    var queue: String
    var size: Int
    var producers: Int
    var consumers: Int
    var prefetch: Int
    var isDurable: Bool
    /// How many messages, or `nil` for as many as go in the time.
    var messages: Int?

    /// Publishes of one producer that wait for their confirms.
    static let windowMax = 256
    /// The smallest message: it carries the time at which it was sent.
    static let sizeMin = 8
}

/// A bench under way.
final class BenchRun: Sendable {
    /// What one side has done.
    struct Side: Sendable {
        var messages = 0
        var latencies = LatencyHistogram()
        /// Nanoseconds from the start to the last message.
        var nanoseconds: UInt64 = 0
    }

    let plan: BenchPlan
    private let began = ContinuousClock.now
    private let stops = Atomic(false)
    private let taken = Atomic(0)
    private let producing = Atomic(0)
    private let published = Mutex(Side())  // what has been confirmed
    private let delivered = Mutex(Side())  // what has come to a consumer and was acked
    private let failure = Mutex<Failure?>(nil)  // the first

    init(_ plan: BenchPlan) { self.plan = plan }

    /// Starts the consumers, then the producers.
    func start() throws(Failure) {
        for _ in 0..<plan.consumers {
            try start("bench-consumer") { (run) throws(Failure) in try run.consume() }
        }
        for _ in 0..<plan.producers {
            producing.add(1, ordering: .relaxed)
            try start("bench-producer") { (run) throws(Failure) in
                defer { run.producing.subtract(1, ordering: .releasing) }
                try run.produce()
            }
        }
    }

    private func start(
        _ name: String, _ work: @escaping @Sendable (BenchRun) throws(Failure) -> Void
    ) throws(Failure) {
        let isStarted = startWorkerThread(name) {
            do throws(Failure) { try work(self) } catch { self.failed(error) }
        }
        guard isStarted else {
            throw Failure(
                .refused, "the system has no room for another thread; ask for fewer producers and consumers")
        }
    }

    /// Lets the producers end.
    func stop() { stops.store(true, ordering: .relaxed) }

    /// No producer is at work any more.
    var hasPublished: Bool { producing.load(ordering: .acquiring) == 0 }
    /// What the producers have done.
    var publishedSide: Side { published.withLock { $0 } }
    /// What the consumers have done.
    var deliveredSide: Side { delivered.withLock { $0 } }
    /// The first thing that went wrong.
    var problem: Failure? { failure.withLock { $0 } }

    private func failed(_ error: Failure) {
        stop()
        failure.withLock { $0 = $0 ?? error }
    }

    /// Nanoseconds since the bench began.
    private var now: UInt64 {
        let passed = began.duration(to: .now).components
        return UInt64(max(0, passed.seconds)) * 1_000_000_000 + UInt64(max(0, passed.attoseconds))
            / 1_000_000_000
    }

    // MARK: - Producers

    /// True where one more message is to be sent.
    private func takeMessage() -> Bool {
        if stops.load(ordering: .relaxed) { return false }
        guard let messages = plan.messages else { return true }
        return taken.add(1, ordering: .relaxed).oldValue < messages
    }

    private func produce() throws(Failure) {
        let client = try LineClient(plan.server.address, as: plan.login)
        try client.enter(plan.server.virtualHost)
        let request = LineRequest("PUB").argument("").argument(plan.queue)
            .word("transient", if: !plan.isDurable)
        var body = [UInt8](repeating: UInt8(ascii: "x"), count: plan.size)
        var sent: [UInt64] = []  // the times of those that wait, first the oldest
        var goesOn = true
        while goesOn || !sent.isEmpty {
            while sent.count < BenchPlan.windowMax, goesOn {
                goesOn = takeMessage()
                guard goesOn else { break }
                let time = now
                for index in 0..<BenchPlan.sizeMin {
                    body[index] = UInt8(truncatingIfNeeded: time >> UInt64(8 * index))
                }
                client.send(request, body: body)
                sent.append(time)
            }
            try client.flush()
            let left = goesOn ? sent.count / 2 : 0
            let answered = sent.count - left
            var latencies: [UInt64] = []
            for index in 0..<answered {
                switch try client.receive() {
                case .done: latencies.append(now - sent[index])
                case .refused(let refusal): throw Failure(refusal)
                case .nothing, .message, .row, .text, .push: throw client.outOfStep()
                }
            }
            sent.removeFirst(answered)
            count(latencies, in: published)
        }
    }

    private func count(_ latencies: [UInt64], in side: borrowing Mutex<Side>) {
        let time = now
        side.withLock { side in
            for latency in latencies { side.latencies.record(latency) }
            side.messages += latencies.count
            if !latencies.isEmpty { side.nanoseconds = max(side.nanoseconds, time) }
        }
    }

    // MARK: - Consumers

    private func consume() throws(Failure) {
        let client = try LineClient(plan.server.address, as: plan.login)
        try client.enter(plan.server.virtualHost)
        try client.ask(LineRequest("SUB").argument(plan.queue).option("prefetch", plan.prefetch))
        // So many acks gather at most: those that wait must not hold the next deliveries back.
        let batch = max(1, min(64, plan.prefetch == 0 ? 64 : plan.prefetch / 4))
        var latencies: [UInt64] = []
        while true {
            // Without another message in sight nobody else would send them.
            if latencies.count >= batch || !latencies.isEmpty && !client.hasWaitingReply {
                try client.flush()
                count(latencies, in: delivered)
                latencies.removeAll(keepingCapacity: true)
            }
            switch try client.receive() {
            case .message(let message):
                latencies.append(latency(of: message.body))
                client.send(LineRequest("ACK").argument(message.tag))
            case .done: continue  // an ack
            case .refused(let refusal): throw Failure(refusal)
            case .nothing, .row, .text, .push: throw client.outOfStep()
            }
        }
    }

    private func latency(of body: [UInt8]) -> UInt64 {
        var time: UInt64 = 0
        for index in (0..<min(BenchPlan.sizeMin, body.count)).reversed() {
            time = time << 8 | UInt64(body[index])
        }
        let now = now
        return now > time ? now - time : 0
    }
}
