// What publishers see: the order of returns and confirms, priorities, and headers that go through as they came.

import LeveretTestSupport
import Testing

@Suite struct AMQPPublishingTests {
    @Test func `a return comes before the answer to a later method`() async throws {
        try await withServer { port in
            let client = try AMQPSocket(port: port)
            client.publish("x", to: "nowhere", mandatory: true)
            client.selectConfirms()
            #expect(try client.next() == "basic.return 312 NO_ROUTE '' nowhere {10 0 2} x")
            #expect(try client.next() == "confirm.select-ok")
        }
    }

    @Test func `confirms count from confirm.select on`() async throws {
        try await withServer { port in
            let client = try AMQPSocket(port: port)
            try client.haveQueue("q")
            client.publish("before", to: "q")
            client.selectConfirms()
            try client.expect("confirm.select-ok")
            client.publish("x", to: "q")
            #expect(try client.next() == "basic.ack 1 false")
            client.publish("y", to: "q")
            #expect(try client.next() == "basic.ack 2 false")
        }
    }

    @Test func `a priority above the highest counts as the highest, and none as 0`() async throws {
        try await withServer { port in
            let client = try AMQPSocket(port: port)
            try client.haveQueue("q", [("x-max-priority", .int(5))])
            client.publish("a", to: "q", properties: [0, 0])
            for (body, priority) in [("b", 3), ("c", 9), ("d", 5), ("e", 0)] as [(String, UInt8)] {
                client.publish(body, to: "q", properties: [0x08, 0, priority])
            }
            var order = ""
            for _ in 0..<5 {
                client.get("q", noAck: true)
                order += try client.next().suffix(1)
            }
            #expect(order == "cdbae")
        }
    }

    /// A header table with a value of every type of RabbitMQ's dialect.
    private static var everyType: [UInt8] {
        let values: [(Character, [UInt8])] = [
            ("t", [1]), ("b", [0xFF]), ("B", [0xFF]), ("s", [0xFF, 0xFE]), ("u", [0xFF, 0xFE]),
            ("I", [0x80, 0, 0, 1]), ("i", [0x80, 0, 0, 1]), ("l", [0x80, 0, 0, 0, 0, 0, 0, 1]),
            ("f", [0x40, 0x49, 0x0F, 0xDB]), ("d", [0x40, 0x09, 0x21, 0xFB, 0x54, 0x44, 0x2D, 0x18]),
            ("D", [2, 0xFF, 0xFF, 0xFF, 0x85]), ("S", [0, 0, 0, 2, 0xC3, 0xA4]),
            ("A", [0, 0, 0, 3, 0x62, 0x05, 0x56]), ("T", [0, 0, 0, 0, 0x65, 0, 0, 0]),
            ("F", [0, 0, 0, 4, 1, 0x61, 0x74, 0]), ("V", []), ("x", [0, 0, 0, 2, 0, 0xFF]),
        ]
        var inside: [UInt8] = []
        for (type, value) in values {
            inside += [2, UInt8(ascii: "k")] + [type.asciiValue ?? 0] + [type.asciiValue ?? 0] + value
        }
        return [0, 0, UInt8(inside.count >> 8), UInt8(inside.count & 0xFF)] + inside
    }

    @Test func `headers of every type go through in order, bit by bit`() async throws {
        try await withServer { port in
            let client = try AMQPSocket(port: port)
            try client.haveQueue("q", durable: true)
            let properties = [0x30, 0] + Self.everyType + [2]
            client.publish("x", to: "q", properties: properties)
            client.get("q")
            let shown = properties.map { String($0, radix: 16) }.joined(separator: " ")
            #expect(try client.next() == "basic.get-ok 1 false '' q 0 {\(shown)} x")
        }
    }
}
