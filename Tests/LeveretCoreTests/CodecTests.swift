// AMQP's bytes of field tables and properties: round trips, RabbitMQ's dialect, hostile bytes.

import LeveretTestSupport
import Testing

@testable import LeveretCore

@Suite struct FieldTableCodecTests {
    @Test func `every type comes back as it was`() throws {
        let table: FieldTable = [
            "bool": .bool(true), "small": .int(-1), "large": .int(.min), "edge": .int(2_147_483_648),
            "double": .double(-0.1), "decimal": .decimal(scale: 2, value: -314), "text": .string("é\0x"),
            "bytes": .bytes([0, 255]), "time": .timestamp(-1), "array": .array([.void, .array([])]),
            "table": .table(["in": .table([:])]), "void": .void, "": .string(""),
        ]
        #expect(try FieldTableCodec.decode(FieldTableCodec.encode(table)) == table)
    }

    @Test func `every number type of RabbitMQ is read`() throws {
        let bytes: [UInt8] =
            [1, 97] + Array("b".utf8) + [0xFF] + [1, 98] + Array("B".utf8) + [0xFF]
            + [1, 99] + Array("s".utf8) + [0xFF, 0xFE] + [1, 100] + Array("u".utf8) + [0xFF, 0xFE]
            + [1, 101] + Array("i".utf8) + [0xFF, 0xFF, 0xFF, 0xFF]
            + [1, 102] + Array("f".utf8) + [0x40, 0x20, 0, 0]
            + [1, 103] + Array("S".utf8) + [0, 0, 0, 1, 0xFF]
        let table = try FieldTableCodec.decode([0, 0, 0, UInt8(bytes.count)] + bytes)
        #expect(
            table == [
                "a": .int(-1), "b": .int(255), "c": .int(-2), "d": .int(65534), "e": .int(4_294_967_295),
                "f": .double(2.5), "g": .bytes([0xFF]),
            ])
    }

    @Test(arguments: [1, 7, 8, 9, 20])
    func `of fields with one name the later stays, at the place of the earlier`(count: Int) throws {
        let names = (0..<count).map { "n\($0)" }
        var fields: [UInt8] = []
        for (value, names): (UInt8, [String]) in [(1, names), (2, names.reversed())] {
            for name in names {
                fields.append(UInt8(name.utf8.count))
                fields += name.utf8
                fields += [UInt8(ascii: "b"), value]
            }
        }
        let table = try FieldTableCodec.decode([0, 0, 0, UInt8(fields.count)] + fields)
        #expect(table.fields.map(\.name) == names)
        #expect(table.fields.allSatisfy { $0.value == .int(2) })
    }

    @Test func `deep nesting is refused both ways`() throws {
        var value = FieldValue.void
        for _ in 0..<31 { value = .array([value]) }
        let deepest: FieldTable = ["a": value]
        #expect(throws: Never.self) { try FieldTableCodec.check(deepest) }
        #expect(try FieldTableCodec.decode(FieldTableCodec.encode(deepest)) == deepest)
        let tooDeep: FieldTable = ["a": .array([value])]
        #expect(throws: BrokerError.self) { try FieldTableCodec.check(tooDeep) }
        #expect(throws: BrokerError.self) { try FieldTableCodec.decode(FieldTableCodec.encode(tooDeep)) }
    }

    @Test func `hostile bytes give a table or an error`() {
        var random = SplitMix64(seed: 21)
        let sample = FieldTableCodec.encode([
            "a": .array([.int(1), .string("x"), .table(["b": .double(1)])]), "c": .bytes([1, 2, 3]),
        ])
        for count in 0..<sample.count {
            #expect(throws: BrokerError.self) { try FieldTableCodec.decode(Array(sample.prefix(count))) }
        }
        for _ in 0..<20_000 {
            var bytes = sample
            for _ in 0..<Int.random(in: 1...4, using: &random) {
                bytes[Int.random(in: 0..<bytes.count, using: &random)] = .random(in: 0...255, using: &random)
            }
            if let table = try? FieldTableCodec.decode(bytes) {
                // What was understood can be written and understood again; NaN is not equal to itself.
                let again = try? FieldTableCodec.decode(FieldTableCodec.encode(table))
                #expect(again.map { $0.isEquivalent(to: table) } == true)
            }
        }
    }
}

@Suite struct PropertiesCodecTests {
    @Test func `all properties come back as they were`() throws {
        var p = MessageProperties()
        p.contentType = "text/plain"
        p.contentEncoding = "gzip"
        p.headers = ["h": .int(1)]
        p.priority = 9
        p.correlationID = "c"
        p.replyTo = "r"
        p.expiration = "1000"
        p.messageID = ""
        p.timestamp = 1_700_000_000
        p.type = "t"
        p.userID = "u"
        p.appID = "a"
        p.clusterID = "x"
        for isPersistent in [true, false] {
            let decoded = try PropertiesCodec.decode(PropertiesCodec.encode(p, isPersistent: isPersistent))
            #expect(decoded.0 == p)
            #expect(decoded.isPersistent == isPersistent)
        }
    }

    @Test func `no properties are no object and three bytes`() throws {
        let bytes = PropertiesCodec.encode(nil, isPersistent: true)
        #expect(bytes == [0x10, 0, 2])
        #expect(try PropertiesCodec.decode(bytes).0 == nil)
        #expect(try PropertiesCodec.decode([0, 0]).isPersistent == false)
    }

    @Test func `hostile bytes give properties or an error`() {
        var random = SplitMix64(seed: 22)
        for _ in 0..<20_000 {
            let count = Int.random(in: 0...40, using: &random)
            let bytes = (0..<count).map { _ in UInt8.random(in: 0...255, using: &random) }
            _ = try? PropertiesCodec.decode(bytes)
        }
        #expect(throws: BrokerError.self) { try PropertiesCodec.decode([0, 1]) }
        #expect(throws: BrokerError.self) { try PropertiesCodec.decode([0, 0, 0]) }
    }

    @Test func `a string that AMQP can not carry is refused by name`() {
        var p = MessageProperties()
        p.messageID = String(repeating: "é", count: 128)
        #expect(
            throws: BrokerError(.preconditionFailed, "property 'message_id' has 256 bytes; the most is 255")
        ) {
            try PropertiesCodec.check(p)
        }
    }
}
