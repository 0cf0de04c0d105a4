// Time and order, in this very process: messages that fall due or expire all at once, and a look anywhere into a
// deep queue.

import Leveret

let orderCases = [
    Case("delays, due") { bench in
        let broker = try Broker(.file(bench.path("due.db")))
        try await broker.declareQueue("q")
        let count = 100_000
        let due = ContinuousClock.now + .seconds(4)
        let consumer = try await broker.consume("q", prefetch: 10_000)
        for _ in 0..<(count / 1_000) {
            let message = OutgoingMessage(body, to: "q" as QueueName)
                .delayed(by: ContinuousClock.now.duration(to: due))
            try await broker.publish(batch: [OutgoingMessage](repeating: message, count: 1_000))
        }
        guard ContinuousClock.now < due else {
            throw BenchmarkFailure("publishing took longer than the delay")
        }
        var first: ContinuousClock.Instant?
        var received = 0
        for try await message in consumer {
            if first == nil { first = .now }
            message.ackWithoutWaiting()
            received += 1
            if received == count { break }
        }
        let last = ContinuousClock.now
        try await broker.shutdown()
        return [
            Figure("the first of 100,000, late by", milliseconds(due.duration(to: first ?? last)), "ms"),
            Figure(
                "the last of 100,000, late by", milliseconds(due.duration(to: last)), "ms", .atMost(1_000)),
        ]
    },
    Case("delays, alone") { bench in
        let broker = try Broker(.file(bench.path("late.db")))
        try await broker.declareQueue("q")
        let consumer = try await broker.consume("q", prefetch: 1)
        var received = consumer.makeAsyncIterator()
        var late: [Double] = []
        for _ in 0..<40 {
            let due = ContinuousClock.now + .milliseconds(50)
            try await broker.publish(
                OutgoingMessage(body, to: "q" as QueueName).delayed(by: .milliseconds(50)))
            guard let message = try await received.next() else { break }
            late.append(milliseconds(due.duration(to: .now)))
            try await message.ack()
        }
        try await broker.shutdown()
        late.sort()
        return [
            Figure("late by, p50", late[late.count / 2], "ms", .atMost(10)),
            Figure("late by, at most", late[late.count - 1], "ms"),
        ]
    },
    Case("ttl, due") { bench in
        let broker = try Broker(.file(bench.path("ttl.db")))
        try await broker.declareQueue(
            "dying",
            arguments: [
                "x-dead-letter-exchange": .string(""), "x-dead-letter-routing-key": .string("dead"),
            ])
        try await broker.declareQueue("dead")
        try await broker.declareQueue("other")
        let count = 100_000
        let due = ContinuousClock.now + .seconds(5)
        for _ in 0..<(count / 1_000) {
            var properties = MessageProperties()
            properties.expiration = "\(Int(milliseconds(ContinuousClock.now.duration(to: due))))"
            let message = OutgoingMessage(body, to: "dying" as QueueName, properties: properties)
            try await broker.publish(batch: [OutgoingMessage](repeating: message, count: 1_000))
        }
        guard ContinuousClock.now < due - .seconds(2) else {
            throw BenchmarkFailure("publishing took longer than the messages live")
        }
        async let before = latencies(of: broker, until: due)
        let calm = try await before
        async let during = latencies(of: broker, until: due + .seconds(2))
        while try await broker.status(of: "dead").ready < count {
            try await Task.sleep(for: .milliseconds(20))
        }
        let took = milliseconds(due.duration(to: .now))
        let stormy = try await during
        try await broker.shutdown()
        return [
            Figure("100,000 dead-lettered, after", took, "ms", .atMost(2_000)),
            Figure("another queue's publish p99, before", calm[calm.count * 99 / 100], "ms"),
            Figure("another queue's publish p99, meanwhile", stormy[stormy.count * 99 / 100], "ms"),
        ]
    },
    Case("peek into 1,000,000", isLong: true) { bench in
        let broker = try Broker(.file(bench.path("peek.db")))
        try await broker.declareQueue("q")
        let batch = [OutgoingMessage](repeating: OutgoingMessage(body, to: "q" as QueueName), count: 10_000)
        for _ in 0..<100 { try await broker.publish(batch: batch) }
        let head = try await broker.peek("q", count: 1).first?.number.rawValue ?? 0
        var took: [Double] = []
        for look in 0..<60 {
            let position = MessageNumber(head + Int64(look * 7 % 60) * 16_600)
            let start = ContinuousClock.now
            let rows = try await broker.peek("q", from: position, count: 100)
            took.append(milliseconds(start.duration(to: .now)))
            guard rows.count == 100, rows.first?.number == position else {
                throw BenchmarkFailure("PEEK from \(position) began at \(rows.first?.number ?? 0)")
            }
        }
        took.sort()
        let search = try await searches(in: broker)
        try await broker.shutdown()
        return [
            Figure("100 from anywhere, p50", took[took.count / 2], "ms"),
            Figure("100 from anywhere, at most", took[took.count - 1], "ms", .atMost(10)),
        ] + search
    },
]

/// Looks through the whole of queue `q` for what isn't there, beside publishes to another queue.
private func searches(in broker: Broker) async throws -> [Figure] {
    try await broker.declareQueue("other")
    let calm = try await latencies(of: broker, until: .now + .seconds(2))
    async let during = latencies(of: broker, until: .now + .seconds(3))
    var took: [Double] = []
    let end = ContinuousClock.now + .seconds(3)
    repeat {
        let start = ContinuousClock.now
        let found = try await broker.peek("q", where: "size = 7", count: 100)
        guard found.isEmpty else { throw BenchmarkFailure("a message of 7 bytes was found") }
        took.append(milliseconds(start.duration(to: .now)))
    } while ContinuousClock.now < end
    let busy = try await during
    return [
        Figure("where= that finds nothing", took.sorted()[took.count / 2], "ms", .atMost(2_000)),
        Figure("another queue's publish p99, before", calm[calm.count * 99 / 100], "ms"),
        Figure("another queue's publish p99, meanwhile", busy[busy.count * 99 / 100], "ms"),
    ]
}

private let body = [UInt8](repeating: 120, count: 100)

/// How long lone publishes to the queue `other` take until then, one after the other with a pause of a
/// millisecond, in ms, sorted.
private func latencies(of broker: Broker, until end: ContinuousClock.Instant) async throws -> [Double] {
    var found: [Double] = []
    while true {
        let start = ContinuousClock.now
        guard start < end else { return found.sorted() }
        try await broker.publish(OutgoingMessage(body, to: "other" as QueueName))
        found.append(milliseconds(start.duration(to: .now)))
        try await Task.sleep(for: .milliseconds(1))
    }
}

private func milliseconds(_ duration: Duration) -> Double {
    Double(duration.components.seconds) * 1_000 + Double(duration.components.attoseconds) / 1e15
}
