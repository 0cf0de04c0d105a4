// The cases over the line protocol: one server on a new file each, loaded by a client on the same cores.

import Foundation
import LineLoad

let lineCases = [
    Case("publish only") { bench in
        try await bench.withServer { server in
            try server.ask(["QUEUE q"])
            let load = Load(messages: 300_000)
            return try measured("durable 1 KiB, window 1000", server, load, target: 120_000)
        }
    },
    Case("through") { bench in
        var figures: [Figure] = []
        for window: Int32 in [256, 1_000] {
            figures += try await bench.withServer { server in
                try server.ask(["QUEUE q"])
                let load = Load(messages: 400_000, window: window, consumers: 1)
                return try measured("durable 1 KiB, window \(window)", server, load, target: 250_000)
            }
            figures += try await bench.withServer { server in
                try server.ask(["QUEUE q"])
                let load = Load(messages: 400_000, window: window, consumers: 1, ack: LINE_ACK_MULTIPLE)
                return try measured(
                    "the same, acks multiple", server, load, target: 250_000, suffix: "\(window)")
            }
            figures += try await bench.withServer { server in
                try server.ask(["QUEUE q"])
                let load = Load(messages: 300_000, window: window, consumers: 1, lag: 50_000)
                return try measured("the same, every message committed", server, load, suffix: "\(window)")
            }
        }
        return figures
    },
    Case("4 + 4 clients") { bench in
        try await bench.withServer { server in
            try server.ask(["QUEUE q"])
            let load = Load(messages: 400_000, producers: 4, window: 256, consumers: 4)
            return try measured("durable 1 KiB, window 256", server, load)
        }
    },
    Case("window 1") { bench in
        let acked = try await bench.withServer { server in
            try server.ask(["QUEUE q"])
            let result = try server.run(Load(messages: 10_000, window: 1, consumers: 1))
            return [
                Figure("confirm p50, with a consumer", result.confirm_p50 / 1_000, "ms", .atMost(0.35)),
                Figure("confirm p99, with a consumer", result.confirm_p99 / 1_000, "ms"),
            ]
        }
        let committed = try await bench.withServer { server in
            try server.ask(["QUEUE q"])
            let result = try server.run(Load(messages: 5_000, window: 1))
            return [
                Figure("confirm p50, committed", result.confirm_p50 / 1_000, "ms"),
                Figure("confirm p99, committed", result.confirm_p99 / 1_000, "ms"),
            ]
        }
        return acked + committed
    },
    Case("paced 5,000/s") { bench in
        try await bench.withServer { server in
            try server.ask(["QUEUE q"])
            let result = try server.run(Load(messages: 20_000, window: 1_000, rate: 5_000, consumers: 1))
            return [
                Figure("confirm p50", result.confirm_p50 / 1_000, "ms"),
                Figure("confirm p99", result.confirm_p99 / 1_000, "ms"),
                Figure("end to end p50", result.delivery_p50 / 1_000, "ms"),
                Figure("end to end p99", result.delivery_p99 / 1_000, "ms"),
            ]
        }
    },
    Case("transient") { bench in
        var figures: [Figure] = []
        for (size, target): (Int32, Double) in [(1_024, 500_000), (100, 1_000_000)] {
            figures += try await bench.withServer { server in
                try server.ask(["QUEUE q"])
                let load = Load(
                    messages: 1_000_000, size: size, transient: true, consumers: 1, ack: LINE_AUTO_ACK)
                return try measured("\(size) B, auto-ack, window 1000", server, load, target: target)
            }
        }
        return figures
    },
    Case("fanout to 10") { bench in
        var figures: [Figure] = []
        for (isTransient, target) in [(true, 500_000.0), (false, 150_000)] {
            figures += try await bench.withServer { server in
                let queues = (0..<10).map { "q\($0)" }
                try server.ask(
                    ["EXCHANGE f fanout"] + queues.map { "QUEUE \($0)" } + queues.map { "BIND \($0) f" })
                let count = isTransient ? 100_000 : 40_000
                let load = Load(
                    messages: count, window: 256, transient: isTransient, exchange: "f", keys: ["k"],
                    routed: 10,
                    consumers: 10, queues: queues, ack: isTransient ? LINE_AUTO_ACK : LINE_ACK_EACH,
                    deliveries: count * 10)
                let before = server.processorSeconds
                let result = try server.run(load)
                let used = server.processorSeconds - before
                let name = isTransient ? "transient 1 KiB" : "durable 1 KiB"
                return [
                    Figure(
                        name, Double(result.delivered) / result.seconds, "deliveries/s", .atLeast(target)),
                    Figure(
                        "\(name), broker's processor", used / Double(result.delivered) * 1e6, "µs/delivery"),
                ]
            }
        }
        return figures
    },
    Case("1,000,000 × 100 B") { bench in
        try await bench.withServer { server in
            try server.ask(["QUEUE q"])
            let filled = try server.run(Load(messages: 1_000_000, size: 100, window: 10_000))
            var figures = [
                Figure.rate("in, 10,000 in flight", 1_000_000, in: filled.seconds, 250_000),
                Figure("resident while they wait", server.residentMiB, "MiB", .atMost(60)),
                Figure("file", Double(bench.bytes(of: "bench.db")) / 1_048_576, "MiB"),
            ]
            let each = Load(producers: 0, consumers: 1, deliveries: 1_000_000)
            figures.append(.rate("out, each acked", 1_000_000, in: try server.run(each).seconds, 500_000))
            figures.append(Figure("resident when drained", server.residentMiB, "MiB"))
            _ = try server.run(Load(messages: 1_000_000, size: 100, window: 10_000))
            let multiple = Load(producers: 0, consumers: 1, ack: LINE_ACK_MULTIPLE, deliveries: 1_000_000)
            figures.append(
                .rate("out, acks multiple", 1_000_000, in: try server.run(multiple).seconds, 500_000))
            return figures
        }
    },
    Case("1,000,000 × 1 KiB", isLong: true) { bench in
        try await bench.withServer { server in
            try server.ask(["QUEUE q"])
            let filled = try server.run(Load(messages: 1_000_000, window: 10_000))
            var figures = [
                Figure.rate("in, 10,000 in flight", 1_000_000, in: filled.seconds),
                Figure("resident while they wait", server.residentMiB, "MiB", .atMost(150)),
            ]
            let drain = Load(producers: 0, consumers: 1, deliveries: 1_000_000)
            figures.append(.rate("out, each acked", 1_000_000, in: try server.run(drain).seconds))
            return figures
        }
    },
    Case("start") { bench in
        let program = try FileManager.default.attributesOfItem(atPath: bench.program)[.size] as? Int ?? 0
        var starts: [Double] = []
        for _ in 0..<5 {
            starts.append(try await bench.withServer { $0.started.seconds })
        }
        return try await bench.withServer { server in
            try await Task.sleep(for: .seconds(1))
            return [
                Figure("to listening, empty file", starts.sorted()[2] * 1_000, "ms", .atMost(25)),
                Figure("idle, resident", server.residentMiB, "MiB", .atMost(20)),
                Figure("stripped program", Double(program) / 1e6, "MB", .atMost(20)),
            ]
        }
    },
    Case("restart, 1,000,000 waiting") { bench in
        try await bench.withServer { server in
            try server.ask(["QUEUE q"])
            _ = try server.run(Load(messages: 1_000_000, size: 100, window: 10_000))
            server.stop(signal: SIGTERM)
            let again = try bench.start()
            defer { again.stop(signal: SIGKILL) }
            let load = Load(producers: 0, consumers: 1, prefetch: 1, deliveries: 1)
            let first = again.started.seconds + (try again.run(load)).first_delivery_seconds
            return [
                Figure("to listening", again.started.seconds, "s"),
                Figure("to the first delivery", first, "s", .atMost(0.5)),
            ]
        }
    },
]

/// Runs a load and reports its rate, what a message cost the broker, and where its client was the limit.
func measured(
    _ name: String, _ server: Server, _ load: Load, target: Double? = nil, suffix: String = ""
) throws -> [Figure] {
    let name = suffix.isEmpty ? name : "window \(suffix), \(name)"
    let before = server.processorSeconds
    let result = try server.run(load)
    let used = server.processorSeconds - before
    return [
        .rate(name, load.messages, in: result.seconds, target),
        Figure("\(name), broker's processor", used / Double(load.messages) * 1e6, "µs/msg"),
        Figure(
            "\(name), client's processor", result.client_cpu_seconds / Double(load.messages) * 1e6, "µs/msg"),
        Figure("\(name), confirm p99", result.confirm_p99 / 1_000, "ms"),
    ]
}
