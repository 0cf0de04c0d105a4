// Whether a message costs the same however much there is: messages waiting, queues, bindings. And whether a
// topic exchange with many bindings keeps up with a direct one.

import LineLoad

let growthCases = [
    Case("topic against direct") { bench in
        var figures: [Figure] = []
        for count in [10_000, 100_000] {
            var rates: [String: Double] = [:]
            for type in ["direct", "topic"] {
                rates[type] = try await bench.withServer { server in
                    try server.ask(["EXCHANGE e \(type)", "QUEUE q"])
                    // A topic exchange gets patterns, so that it can't take them for plain keys.
                    try server.ask(
                        (0..<count).map { "BIND q e \(type == "topic" ? "a.\($0).*" : "a.\($0).b")" })
                    let stride = count / 1_000
                    let load = Load(
                        messages: 500_000, size: 100, transient: true, exchange: "e",
                        keys: (0..<1_000).map { "a.\($0 * stride).b" }, consumers: 1, ack: LINE_AUTO_ACK)
                    return Double(load.messages) / (try server.run(load)).seconds
                }
                figures.append(Figure("\(type), \(count) bindings", rates[type] ?? 0, "msg/s"))
            }
            let ratio = (rates["topic"] ?? 0) / (rates["direct"] ?? 1)
            figures.append(Figure("topic ÷ direct, \(count) bindings", ratio, "", .atLeast(0.8)))
        }
        return figures
    },
    Case("by depth", isLong: true) { bench in
        var figures: [Figure] = []
        for depth in sizes {
            figures += try await bench.withServer { server in
                try server.ask(["QUEUE q"])
                _ = try server.run(Load(messages: depth, size: 100, window: 10_000))
                // The consumer takes from the head what the producer adds at the tail.
                let load = Load(
                    messages: 200_000, size: 100, firstProducer: 1, consumers: 1, ack: LINE_ACK_EACH)
                return try cost("\(depth) waiting", server, load)
            }
        }
        return figures
    },
    Case("by queues", isLong: true) { bench in
        var figures: [Figure] = []
        for count in sizes {
            figures += try await bench.withServer { server in
                try server.ask((0..<count).map { "QUEUE q\($0) durable=no" })
                let keys = (0..<min(count, 1_000)).map { "q\($0 * max(1, count / 1_000))" }
                return try cost("\(count) queues", server, Load(messages: 300_000, size: 100, keys: keys))
                    + [Figure("\(count) queues, resident", server.residentMiB, "MiB")]
            }
        }
        return figures
    },
    Case("by bindings", isLong: true) { bench in
        var figures: [Figure] = []
        for count in sizes {
            figures += try await bench.withServer { server in
                try server.ask(["EXCHANGE e topic durable=no", "QUEUE q durable=no"])
                try server.ask((0..<count).map { "BIND q e a.\($0).*" })
                let keys = (0..<min(count, 1_000)).map { "a.\($0 * max(1, count / 1_000)).b" }
                let load = Load(
                    messages: 300_000, size: 100, transient: true, exchange: "e", keys: keys, consumers: 1,
                    ack: LINE_AUTO_ACK)
                return try cost("\(count) bindings", server, load)
            }
        }
        return figures
    },
]

private let sizes = [100, 1_000, 10_000, 100_000, 1_000_000]

/// What a message costs the broker, and how many go through.
private func cost(_ name: String, _ server: Server, _ load: Load) throws -> [Figure] {
    let before = server.processorSeconds
    let result = try server.run(load)
    let used = server.processorSeconds - before
    // A consumer that finds messages waiting gets more than are published meanwhile.
    let count = max(load.messages, Int(result.delivered))
    return [
        .rate(name, count, in: result.seconds),
        Figure("\(name), broker's processor", used / Double(count) * 1e6, "µs/msg"),
    ]
}
