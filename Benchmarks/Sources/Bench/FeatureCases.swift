// What the features of queues cost, over the line protocol: each beside a plain queue, many delayed messages, many
// ids, and all of it at once. And this build beside another one.

import Foundation
import LineLoad

let featureCases = [
    Case("beside a plain queue") { bench in
        let variants: [(name: String, queue: String, options: [String])] = [
            ("ten priorities", "max-priority=10", (0..<10).map { "priority=\($0)" }),
            ("delayed retry", "delayed-retry-type=all delayed-retry-min=1000", []),
            ("limits", "max-length=1000000 max-bytes=10000000000 delivery-limit=20", []),
        ]
        var figures: [Figure] = []
        for load in loads {
            let plain = try await pace(bench, load.load)
            figures.append(.rate("\(load.name), plain", load.load.messages, in: plain.seconds))
            for variant in variants {
                var changed = load.load
                changed.options = variant.options
                changed.unordered = true
                let found = try await pace(bench, changed, queue: variant.queue)
                // Between two plain ones, since rates drift.
                let again = try await pace(bench, load.load)
                let beside = (plain.seconds + again.seconds) / 2
                figures.append(
                    Figure("\(load.name), \(variant.name) ÷ plain", beside / found.seconds, "", .atLeast(0.8))
                )
                let processor = (plain.processor + again.processor) / 2
                figures.append(
                    Figure(
                        "\(load.name), \(variant.name), broker's processor ÷ plain",
                        found.processor / processor, ""))
            }
        }
        return figures
    },
    Case("delays, 1,000,000 in", isLong: true) { bench in
        try await bench.withServer { server in
            try server.ask(["QUEUE q"])
            let before = server.residentMiB
            let load = Load(messages: 1_000_000, size: 100, window: 10_000, options: ["delay=3600000"])
            let took = try server.run(load).seconds
            return [
                .rate("durable 100 B, due in an hour", load.messages, in: took, 100_000),
                Figure("resident, empty", before, "MiB"),
                Figure("resident while they wait", server.residentMiB, "MiB", .atMost(60)),
            ]
        }
    },
    Case("dedup, 10,000,000 ids", isLong: true) { bench in
        try await bench.withServer { first in
            try first.ask(["QUEUE q deduplicate=86400000"])
            first.stop(signal: SIGTERM)
            let tomorrow = Int64(Date().timeIntervalSince1970 * 1_000) + 86_400_000
            guard probe_seed_ids(bench.path("bench.db"), 1, 10_000_000, tomorrow) else {
                throw BenchmarkFailure("the ids could not be written")
            }
            let server = try bench.start()
            defer { server.stop(signal: SIGKILL) }
            // One of them, which must be dropped.
            _ = try server.run(
                Load(messages: 1, size: 100, options: ["id=0000000000000000"], routed: 0))
            var load = Load(messages: 300_000, size: 100, window: 10_000, ids: LINE_IDS_IN_ORDER)
            let ordered = try server.run(load).seconds
            load.firstProducer = 1
            load.messages = 100_000
            load.ids = LINE_IDS_SCATTERED
            let scattered = try server.run(load).seconds
            return [
                .rate("durable 100 B, new ids in order", 300_000, in: ordered, 80_000),
                .rate("durable 100 B, new ids in no order", load.messages, in: scattered),
                Figure("resident", server.residentMiB, "MiB"),
                Figure("to listening", server.started.seconds, "s"),
            ]
        }
    },
    Case("everything at once, 1,000,000", isLong: true) { bench in
        try await bench.withServer { server in
            try server.ask([
                "QUEUE dead",
                "QUEUE q ttl=86400000 max-priority=10 deduplicate=86400000 max-length=10000000 delivery-limit=5 "
                    + "delayed-retry-type=all delayed-retry-min=60000 dead-letter-exchange=\"\" dead-letter-key=dead",
            ])
            // One in ten is delayed.
            let options = (1..<10).map { "priority=\($0)" } + ["priority=10 delay=86400000"]
            let load = Load(
                messages: 1_000_000, size: 100, window: 10_000, options: options, ids: LINE_IDS_IN_ORDER)
            let filled = try server.run(load)
            var figures = [
                Figure.rate("in, durable 100 B, 10,000 in flight", load.messages, in: filled.seconds),
                Figure("resident while they wait", server.residentMiB, "MiB", .atMost(150)),
            ]
            let drain = Load(unordered: true, consumers: 1, deliveries: 900_000)
            figures.append(.rate("out, each acked", 900_000, in: try server.run(drain).seconds))
            figures.append(Figure("resident when drained", server.residentMiB, "MiB"))
            return figures
        }
    },
]

/// This build and the program `other`, in turns. Only where LEVERET_OTHER names one.
func against(_ other: String) -> Case {
    Case("against the other build") { bench in
        var figures: [Figure] = []
        for load in loads {
            var ratios: [(seconds: Double, processor: Double)] = []
            for turn in 0..<6 {
                // The first of two runs is no better off than the second.
                let first = try await pace(bench, load.load, of: turn % 2 == 0 ? nil : other)
                let second = try await pace(bench, load.load, of: turn % 2 == 0 ? other : nil)
                let (ours, theirs) = turn % 2 == 0 ? (first, second) : (second, first)
                ratios.append((theirs.seconds / ours.seconds, ours.processor / theirs.processor))
            }
            figures.append(
                Figure("\(load.name), rate ÷ other", ratios.map(\.seconds).sorted()[3], "", .atLeast(0.97)))
            figures.append(
                Figure(
                    "\(load.name), broker's processor ÷ other", ratios.map(\.processor).sorted()[3], "",
                    .atMost(1.03)))
        }
        return figures
    }
}

/// What plain queues are loaded with.
private let loads: [(name: String, load: Load)] = [
    ("publish only, 1 KiB", Load(messages: 200_000)),
    ("through, 1 KiB", Load(messages: 300_000, consumers: 1)),
    (
        "transient, 100 B",
        Load(messages: 500_000, size: 100, transient: true, consumers: 1, ack: LINE_AUTO_ACK)
    ),
]

/// Seconds that a load takes on a new queue, and seconds of the broker's processor.
private func pace(
    _ bench: Workbench, _ load: Load, queue: String = "", of other: String? = nil
) async throws -> (seconds: Double, processor: Double) {
    try await bench.withServer(of: other) { server in
        try server.ask(["QUEUE q \(queue)"])
        let before = server.processorSeconds
        let result = try server.run(load)
        return (result.seconds, server.processorSeconds - before)
    }
}
