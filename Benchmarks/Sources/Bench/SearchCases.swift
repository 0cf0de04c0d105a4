// Looking into a queue of 1,000,000 messages: PEEK anywhere in it, conditions that none of them meets, so that each
// is looked at, and what publishers feel of that.

import Leveret

let searchCases = [
    Case("search") { bench in
        let broker = try Broker(.file(bench.path("search.db")))
        try await broker.declareQueue("q")
        try await broker.declareQueue("other")
        let count = 1_000_000
        for start in stride(from: 0, to: count, by: 1_000) {
            try await broker.publish(batch: (start..<start + 1_000).map { message($0) })
        }
        var figures: [Figure] = []
        for from in [1, count / 2, count - 100] {
            let position = MessageNumber(Int64(from))
            let seconds = try await time { _ = try await broker.peek("q", from: position, count: 100) }
            figures.append(Figure("PEEK of 100 from \(from)", seconds * 1_000, "ms", .atMost(10)))
        }
        for condition in [
            "size > 1000", "key = 'none'", "deliveries > 3", "headers ->> 'tenant' = 'none'",
            "body LIKE '%none%'", "json ->> 'total' < 0",
        ] {
            let seconds = try await time { _ = try await broker.peek("q", where: condition) }
            figures.append(Figure("where \(condition)", seconds, "s", .atMost(2)))
        }
        let alone = try await publishing(for: 1.5, broker)
        async let searching: Void = {
            for _ in 0..<3 { _ = try await broker.peek("q", where: "body LIKE '%none%'") }
        }()
        let beside = try await publishing(for: 1.5, broker)
        try await searching
        figures.append(Figure("batches of 100, durable", alone, "msg/s"))
        figures.append(Figure("the same beside searches", beside, "msg/s"))
        try await broker.shutdown()
        return figures
    }
]

/// A message of about 100 bytes with a header.
private func message(_ number: Int) -> OutgoingMessage {
    var properties = MessageProperties()
    properties.headers["tenant"] = .string("t\(number % 10)")
    let body = "{\"order\":\(number),\"total\":\(number % 1_000),\"city\":\"Reykjavik\",\"note\":\"\(pad)\"}"
    return OutgoingMessage(body, to: "q" as QueueName, properties: properties)
}

private let pad = String(repeating: "x", count: 40)

/// Messages a second, published in batches of 100 for so many seconds.
private func publishing(for seconds: Double, _ broker: Broker) async throws -> Double {
    let batch = (0..<100).map { _ in OutgoingMessage(pad, to: "other" as QueueName) }
    var count = 0
    var spent = 0.0
    while spent < seconds {
        spent += try await time { _ = try await broker.publish(batch: batch) }
        count += batch.count
    }
    return Double(count) / spent
}
