// Delays, priorities and retries, in this very process: what they cost beside a plain queue.

import Leveret

let orderCases = [
    Case("delays, in") { bench in
        let broker = try Broker(.file(bench.path("delays.db")))
        try await broker.declareQueue("q")
        let count = 300_000
        let body = [UInt8](repeating: 120, count: 100)
        let batch = (0..<1_000).map { index in
            OutgoingMessage(body, to: "q" as QueueName).delayed(by: .seconds(3_600 + index))
        }
        let took = try await seconds {
            for _ in 0..<(count / 1_000) { try await broker.publish(batch: batch) }
        }
        let status = try await broker.status()
        try await broker.shutdown()
        return [
            .rate("durable 100 B, due in an hour", count, in: took, 100_000),
            Figure("of them in memory", Double(status.messageBytes), "B", .atMost(0)),
        ]
    },
    Case("delays, due") { bench in
        let broker = try Broker(.file(bench.path("due.db")))
        try await broker.declareQueue("q")
        let count = 100_000
        let body = [UInt8](repeating: 120, count: 100)
        let due = ContinuousClock.now + .seconds(6)
        let consumer = try await broker.consume("q", prefetch: 10_000)
        for _ in 0..<(count / 1_000) {
            let message = OutgoingMessage(body, to: "q" as QueueName)
                .delayed(by: ContinuousClock.now.duration(to: due))
            try await broker.publish(batch: [OutgoingMessage](repeating: message, count: 1_000))
        }
        let isInTime = ContinuousClock.now < due
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
        guard isInTime, let first else { throw BenchmarkFailure("publishing took longer than the delay") }
        return [
            Figure(
                "the first of 100,000, after it was due", milliseconds(due.duration(to: first)), "ms",
                .atMost(10)),
            Figure(
                "the last of 100,000, after it was due", milliseconds(due.duration(to: last)), "ms",
                .atMost(1_000)),
        ]
    },
    Case("priorities and retry") { bench in
        let retry: FieldTable = ["x-delayed-retry-type": .string("all"), "x-delayed-retry-min": .int(1_000)]
        let plain = try await through(bench.path("plain.db"), [:]) { _ in 0 }
        let prioritized = try await through(bench.path("priority.db"), ["x-max-priority": .int(10)]) {
            UInt8($0 % 10)
        }
        let retried = try await through(bench.path("retry.db"), retry) { _ in 0 }
        return [
            Figure("plain queue", plain, "msg/s"),
            Figure("ten priorities ÷ plain", prioritized / plain, "", .atLeast(0.8)),
            Figure("retry ÷ plain", retried / plain, "", .atLeast(0.8)),
        ]
    },
]

/// Messages per second that go in in batches, out to one consumer, and are acked.
private func through(
    _ path: String, _ arguments: FieldTable, priority: @Sendable (Int) -> UInt8
) async throws -> Double {
    let broker = try Broker(.file(path))
    try await broker.declareQueue("q", arguments: arguments)
    let count = 200_000
    let body = [UInt8](repeating: 120, count: 1_024)
    let batch = (0..<1_000).map { index in
        var properties = MessageProperties()
        properties.priority = priority(index)
        return OutgoingMessage(body, to: "q" as QueueName, properties: properties)
    }
    let consumer = try await broker.consume("q", prefetch: 1_000)
    let took = try await seconds {
        async let received: Void = {
            var left = count
            for try await message in consumer {
                message.ackWithoutWaiting()
                left -= 1
                if left == 0 { break }
            }
        }()
        for _ in 0..<(count / 1_000) { try await broker.publish(batch: batch) }
        try await received
    }
    try await broker.shutdown()
    return Double(count) / took
}

private func milliseconds(_ duration: Duration) -> Double {
    Double(duration.components.seconds) * 1_000 + Double(duration.components.attoseconds) / 1e15
}

/// Seconds that `work` takes.
private func seconds(_ work: () async throws -> Void) async rethrows -> Double {
    milliseconds(try await ContinuousClock().measure { try await work() }) / 1_000
}
