// The cases in this very process: the disk and SQLite by themselves, and the broker without a network.

import Leveret
import LineLoad

let embeddedCases = [
    Case("disk") { bench in
        let syncs = probe_fdatasync(bench.path("probe"), 1)
        guard let database = probe_open(bench.path("probe.db")) else { throw BenchmarkFailure("no probe.db") }
        defer { probe_close(database) }
        // What SQLite alone makes of this disk: the bound of everything that is confirmed.
        func rate(_ size: Int32, _ rows: Int32) -> Double {
            var count = 0
            var spent = 0.0
            while spent < 1e6 {
                spent += probe_commit(database, size, rows)
                count += Int(rows)
            }
            return Double(count) / spent * 1e6
        }
        return [
            Figure("fdatasync of 4 KiB", syncs, "syncs/s"),
            Figure("blocking INSERT of 1 KiB, one a commit", rate(1_024, 1), "rows/s"),
            Figure("blocking INSERT of 1 KiB, 500 a commit", rate(1_024, 500), "rows/s"),
            Figure("blocking INSERT of 100 B, 500 a commit", rate(100, 500), "rows/s"),
        ]
    },
    Case("embedded, batch publish") { bench in
        var figures: [Figure] = []
        for size in [1_024, 100] {
            let broker = try Broker(.file(bench.path("batch\(size).db")))
            try await broker.declareQueue("q")
            let body = [UInt8](repeating: 120, count: size)
            let batch = (0..<1_000).map { _ in OutgoingMessage(body, to: "q" as QueueName) }
            let alone = try await time { for _ in 0..<100 { try await broker.publish(batch: batch) } }
            figures.append(.rate("durable \(size) B, 1,000 a batch", 100_000, in: alone))
            let together = try await time {
                try await withThrowingTaskGroup { group in
                    for _ in 0..<4 {
                        group.addTask { for _ in 0..<75 { try await broker.publish(batch: batch) } }
                    }
                    try await group.waitForAll()
                }
            }
            let target = size == 1_024 ? 200_000.0 : nil
            figures.append(.rate("the same from 4 tasks, \(size) B", 300_000, in: together, target))
            try await broker.shutdown()
        }
        return figures
    },
    Case("embedded, transient") { bench in
        let broker = try Broker(.file(bench.path("transient.db")))
        try await broker.declareQueue("q")
        let count = 1_000_000
        let body = [UInt8](repeating: 120, count: 100)
        let batch = (0..<1_000).map { _ in OutgoingMessage(body, to: "q" as QueueName, persistent: false) }
        let consumer = try await broker.consume("q", prefetch: 10_000, autoAck: true)
        let inBatches = try await time {
            async let received = receive(count, from: consumer)
            for _ in 0..<(count / batch.count) { try await broker.publish(batch: batch) }
            _ = try await received
        }
        let alone = 200_000
        let oneByOne = try await time {
            async let received = receive(alone, from: consumer)
            for _ in 0..<alone { try await broker.publish(batch[0]) }
            _ = try await received
        }
        try await broker.shutdown()
        return [
            .rate("publish and deliver 100 B, in batches", count, in: inBatches, 1_000_000),
            .rate("publish and deliver 100 B, one await each", alone, in: oneByOne),
        ]
    },
    Case("embedded, lone publish") { bench in
        let broker = try Broker(.file(bench.path("lone.db")))
        try await broker.declareQueue("q")
        guard let bareDatabase = probe_open(bench.path("bare.db")) else {
            throw BenchmarkFailure("no bare.db")
        }
        defer { probe_close(bareDatabase) }
        // The very row that the broker writes, with its index, by nothing but SQLite.
        let twin = try Broker(.file(bench.path("twin.db")))
        try await twin.declareQueue("q")
        try await twin.shutdown()
        guard let twinDatabase = probe_open_brokers(bench.path("twin.db")) else {
            throw BenchmarkFailure("no twin.db")
        }
        defer { probe_close(twinDatabase) }
        let message = OutgoingMessage([UInt8](repeating: 120, count: 1_024), to: "q" as QueueName)
        var bare: [Double] = []
        var same: [Double] = []
        var published: [Double] = []
        // In turns of 100, so that all meet the same disk.
        for _ in 0..<20 {
            for _ in 0..<100 { bare.append(probe_commit(bareDatabase, 1_024, 1)) }
            for _ in 0..<100 { same.append(probe_commit(twinDatabase, 1_024, 1)) }
            for _ in 0..<100 { published.append(try await time { try await broker.publish(message) } * 1e6) }
        }
        try await broker.shutdown()
        let (commit, row, publish) = (bare.sorted()[1_000], same.sorted()[1_000], published.sorted()[1_000])
        return [
            Figure("bare SQLite commit p50", commit / 1_000, "ms"),
            Figure("bare SQLite commit of the same row and index p50", row / 1_000, "ms"),
            Figure("await publish p50", publish / 1_000, "ms"),
            Figure("await publish ÷ bare commit", publish / commit, "", .atMost(1.3)),
            Figure("await publish ÷ bare commit of the same row", publish / row, "", .atMost(1.3)),
        ]
    },
]

private func receive(_ count: Int, from consumer: Consumer) async throws -> Int {
    var received = 0
    for try await _ in consumer {
        received += 1
        if received == count { break }
    }
    return received
}

/// Seconds that `work` takes.
func time(_ work: () async throws -> Void) async rethrows -> Double {
    let took = try await ContinuousClock().measure { try await work() }
    return Double(took.components.seconds) + Double(took.components.attoseconds) / 1e18
}
