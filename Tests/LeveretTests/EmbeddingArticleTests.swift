// The article docs/embedding.md as a program: its code stands here word for word, in order, and runs. Only the
// file, there in the current folder, is here in one that goes with the test.

import Foundation
import Leveret
import LeveretTestSupport
import Testing

@Suite(.timeLimit(.minutes(10)))
struct EmbeddingArticleTests {
    @Test func `the article's program runs`() async throws {
        let folder = try TemporaryFolder()
        let path = folder.path("shop.db")
        var output: [String] = []
        func print(_ line: String) { output.append(line) }

        let broker = try Broker(.file(path))
        try await broker.declareQueue("orders")
        try await broker.publish("2 lamps", to: "orders")

        try await broker.publish(batch: [
            OutgoingMessage("1 table", to: "orders"),
            OutgoingMessage("a carrot", to: "orders"),
        ])

        let orders = try await broker.consume("orders", prefetch: 16)
        for try await order in orders {
            print("packing \(order.text ?? "nothing")")
            try await order.ack()
            if order.text == "a carrot" { break }
        }
        try await orders.cancel()

        try await broker.declareQueue("invoices")
        try await broker.publish("3 chairs", to: "orders")
        if let order = try await broker.get("orders", wait: .seconds(5)) {
            try await broker.transaction { tx in
                tx.publish("invoice for \(order.text ?? "nothing")", to: "invoices")
                try tx.ack(order)
            }
        }

        try await broker.declareQueue("parcels.dead")
        try await broker.declareQueue(
            "parcels",
            arguments: [
                "x-delivery-limit": 2,
                "x-dead-letter-exchange": "",
                "x-dead-letter-routing-key": "parcels.dead",
            ])
        try await broker.publish("to the moon", to: "parcels")

        let parcels = try await broker.consume("parcels")
        for try await parcel in parcels {
            try await parcel.reject(requeue: true, error: "too far")
            if parcel.delivery.failed == 2 { break }
        }
        if let dead = try await broker.get("parcels.dead", wait: .seconds(5)) {
            let reason = dead.delivery.deaths?.firstReason.rawValue ?? "nothing"
            print("\(dead.text ?? "nothing") died of \(reason)")
            try await dead.ack()
        }

        try await broker.declareQueue(
            "mails",
            arguments: [
                "x-max-priority": .int(9),
                "x-delayed-retry-type": .string("failed"),
                "x-delayed-retry-min": .int(1_000),
                "x-delayed-retry-backoff": .string("exponential"),
            ])
        let reminder = OutgoingMessage("your chairs are waiting", to: "mails")
        try await broker.publish(reminder.delayed(by: .seconds(3_600)))
        if let waiting = try await broker.peek("mails", state: .delayed).first {
            try await broker.cancelMessage(at: waiting.number, in: "mails")
        }

        try await broker.declareExchange("shop", type: .topic)
        try await broker.declareQueue("berlin")
        try await broker.bind("berlin", to: "shop", routingKey: "order.berlin.#")
        let reached = try await broker.publish("1 sofa", to: "shop", routingKey: "order.berlin.sofa")
        print("reached \(reached) queue")

        for queue in try await broker.queues() {
            print("\(queue.definition.name): \(queue.ready) ready, \(queue.unacked) unacked")
        }
        let first = try await broker.peek("invoices", count: 1)
        print("first invoice: \(first.map { String(decoding: $0.message.body, as: UTF8.self) })")
        let chairs = try await broker.peek("invoices", where: "body LIKE '%chair%' AND deliveries = 0")
        print("\(chairs.count) invoice for chairs")
        let long = try await broker.query("SELECT count(*) FROM message WHERE size > 10")
        if case .int(let count)? = long.rows.first?.first { print("\(count) long message") }

        try await broker.createVirtualHost("test")
        let test = try await broker.virtualHost("test")
        try await test.declareQueue("invoices")  // another than the one above
        try await broker.deleteVirtualHost("test")

        try await parcels.cancel()
        try await broker.shutdown()

        #expect(
            output == [
                "packing 2 lamps", "packing 1 table", "packing a carrot",
                "to the moon died of delivery_limit",
                "reached 1 queue", "berlin: 1 ready, 0 unacked", "invoices: 1 ready, 0 unacked",
                "mails: 0 ready, 0 unacked", "orders: 0 ready, 0 unacked",
                "parcels: 0 ready, 0 unacked", "parcels.dead: 0 ready, 0 unacked",
                #"first invoice: ["invoice for 3 chairs"]"#,
                "1 invoice for chairs", "1 long message",
            ])
    }

    @Test func `the article's code is the code above`() throws {
        let here = URL(filePath: #filePath)
        let root = here.deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        let article = try String(contentsOf: root.appending(path: "docs/embedding.md"), encoding: .utf8)
        var rest = try lines(of: String(contentsOf: here, encoding: .utf8))[...]
        var inCode = false
        var count = 0
        for line in lines(of: article).map({ $0.replacing(#".file("shop.db")"#, with: ".file(path)") }) {
            if line.hasPrefix("```") {
                inCode = line == "```swift"
            } else if inCode, !line.isEmpty {
                let index = try #require(
                    rest.firstIndex(of: line), "not compiled, or not in this order: \(line)")
                rest = rest[(index + 1)...]
                count += 1
            }
        }
        #expect(count > 40)
    }

    private func lines(of text: String) -> [String] {
        text.split(separator: "\n", omittingEmptySubsequences: false).map {
            $0.trimmingCharacters(in: .whitespaces)
        }
    }
}
