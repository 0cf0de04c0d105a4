// JSON text, the written forms of a dead letter's history, and globs.

import LeveretTestSupport
import Testing

@testable import LeveretCore

@Suite struct JSONTextTests {
    @Test func `a table becomes an object with its fields in order`() {
        let table: FieldTable = [
            "n": .int(-5), "d": .double(2.5), "s": .string("a\"\\\n\u{1}é"), "b": .bool(true), "v": .void,
            "x": .bytes([0, 255]), "p": .decimal(scale: 3, value: -5), "t": .timestamp(7),
            "a": .array([.int(1), .table([:])]),
        ]
        #expect(
            JSONText.write(table)
                == #"{"n":-5,"d":2.5,"s":"a\"\\\n\u0001é","b":true,"v":null,"x":"AP8=","p":-0.005,"#
                + #""t":7,"a":[1,{}]}"#)
    }

    @Test func `what JSON can hold comes back as it was`() throws {
        var random = SplitMix64(seed: 11)
        for _ in 0..<2000 {
            let value = randomJSON(depth: 4, &random)
            #expect(try JSONText.read(JSONText.write(value)) == value)
        }
    }

    @Test func `escapes and surrogate pairs are read`() throws {
        #expect(try JSONText.read(#" "\ud83d\ude00\/\u00e9\b" "#) == .string("😀/é\u{8}"))
        #expect(
            try JSONText.read("[1e3, -0.5, 9223372036854775808]")
                == .array([.double(1000), .double(-0.5), .double(9_223_372_036_854_775_808)]))
    }

    @Test(arguments: [
        "", " ", "{", "[1,]", "{\"a\":1,}", "{\"a\" 1}", "{a:1}", "01", "1.", ".5", "+1", "1e", "--1", "nul",
        "truex", "\"", "\"\\x\"", "\"\\ud800\"", "\"\\ud800\\u0041\"", "\"\\udc00\"", "\"\n\"", "1 2",
        "{\"a\":1,\"a\":2}", "1e999", "'a'", "[1}", "\"\\u00g0\"", "NaN", "-",
    ])
    func `a text that is not JSON is refused`(text: String) {
        #expect(throws: BrokerError.self) { try JSONText.read(text) }
    }

    @Test func `deep nesting is refused, not followed`() {
        #expect(throws: BrokerError.self) { try JSONText.read(String(repeating: "[", count: 100_000)) }
        let deep = String(repeating: "[", count: 32) + String(repeating: "]", count: 32)
        #expect(throws: Never.self) { try JSONText.read(deep) }
        #expect(throws: BrokerError.self) { try JSONText.read("[" + deep + "]") }
    }

    @Test func `a damaged text gives a value or an error`() {
        var random = SplitMix64(seed: 12)
        for _ in 0..<3000 {
            var bytes = Array(JSONText.write(randomJSON(depth: 3, &random)).utf8)
            for _ in 0..<3 where !bytes.isEmpty {
                bytes[Int.random(in: 0..<bytes.count, using: &random)] = UInt8.random(
                    in: 0...255, using: &random)
            }
            var parser = JSONParser(bytes)
            _ = try? parser.document()
        }
    }

    private func randomJSON(depth: Int, _ random: inout SplitMix64) -> FieldValue {
        switch Int.random(in: 0..<(depth > 0 ? 7 : 5), using: &random) {
        case 0: return .void
        case 1: return .bool(Bool.random(using: &random))
        case 2: return .int(Int64.random(in: .min ... .max, using: &random))
        case 3: return .double(Double.random(in: -1e9...1e9, using: &random))
        case 4:
            let texts = ["a", "é\"\\", "\u{0}\u{1F}\u{7F}", "😀\n"]
            return .string(texts.randomElement(using: &random) ?? "")
        case 5:
            return .array((0..<3).map { _ in randomJSON(depth: depth - 1, &random) })
        default:
            var table = FieldTable()
            for name in ["b", "a", ""] { table[name] = randomJSON(depth: depth - 1, &random) }
            return .table(table)
        }
    }
}

@Suite struct DeathHistoryTextTests {
    private let history = DeathHistory(
        deaths: [
            Death(
                queue: "q2", reason: .expired, count: 3, exchange: "dlx", routingKeys: ["k", "cc"],
                time: Instant(milliseconds: 2_500), originalExpiration: "100"),
            Death(
                queue: "q1", reason: .deliveryLimit, count: 1, exchange: "", routingKeys: [], time: 1_000),
        ],
        originQueue: "q1", firstReason: .deliveryLimit, firstExchange: "", firstTime: 1_000,
        lastTime: 2_500, errorText: "it \"broke\"\n")

    @Test func `a history comes back from its text`() throws {
        #expect(try DeathHistory(jsonText: history.jsonText()) == history)
    }

    @Test func `the headers are those of RabbitMQ`() {
        let headers = history.xDeathHeaders()
        #expect(headers["x-first-death-queue"] == .string("q1"))
        #expect(headers["x-first-death-reason"] == .string("delivery_limit"))
        #expect(headers["x-last-death-queue"] == .string("q2"))
        #expect(headers["x-last-death-exchange"] == .string("dlx"))
        guard case .array(let entries)? = headers["x-death"], case .table(let newest)? = entries.first else {
            Issue.record("x-death is not an array of tables")
            return
        }
        #expect(entries.count == 2)
        #expect(newest["time"] == .timestamp(2))
        #expect(newest["count"] == .int(3))
        #expect(newest["routing-keys"] == .array([.string("k"), .string("cc")]))
        #expect(newest["original-expiration"] == .string("100"))
    }

    @Test func `a history that was published with the message goes on`() {
        let earlier: FieldTable = [
            "queue": .string("q2"), "reason": .string("expired"), "count": .int(4), "more": .bool(true),
        ]
        let old: FieldTable = ["queue": .string("q9"), "reason": .string("bored")]
        let published: FieldTable = [
            "x-death": .array([.table(old), .table(earlier), .table(old), .int(3)]),
            "x-first-death-queue": .string("q9"),
        ]
        let headers = history.xDeathHeaders(after: published)
        guard case .array(let values)? = headers["x-death"] else {
            Issue.record("x-death is not an array")
            return
        }
        let tables = values.compactMap { if case .table(let table) = $0 { table } else { nil } }
        #expect(tables.map { $0["queue"] } == ["q2", "q1", "q9"])
        #expect(tables.map { $0["count"] } == [7, 1, 2])
        #expect(tables.first?["more"] == .bool(true))
        #expect(headers["x-first-death-queue"] == nil && headers["x-last-death-queue"] == "q2")
        #expect(history.xDeathHeaders(after: ["x-death": .string("[]")]) == history.xDeathHeaders())
    }

    @Test func `any other text is refused`() {
        let text = history.jsonText()
        for count in 0..<text.count {
            #expect(throws: BrokerError.self) { try DeathHistory(jsonText: String(text.prefix(count))) }
        }
        for bad in ["[]", "{}", text.replacing("3", with: "0"), text.replacing("expired", with: "bored")] {
            #expect(throws: BrokerError.self) { try DeathHistory(jsonText: bad) }
        }
    }
}

@Suite struct GlobTests {
    @Test(arguments: [
        ("", "", true), ("*", "", true), ("a*c", "abbc", true), ("a*c", "abcd", false), ("?", "", false),
        ("?", "é", true), ("a.b", "aXb", false), ("*a*b*", "xxaxxbxx", true), ("*ab", "aab", true),
        ("**", "x", true), ("orders.*", "orders.eu", true), ("a", "b", false),
    ])
    func `stars and question marks stand for characters`(pattern: String, text: String, matches: Bool) {
        #expect(Glob(pattern).matches(text) == matches)
    }

    @Test func `many stars do not multiply the work`() {
        let glob = Glob(String(repeating: "*a", count: 120) + "b")
        #expect(!glob.matches(String(repeating: "a", count: 5000)))
    }
}

@Suite struct InstantTests {
    @Test(arguments: [
        (Int64.min, "-140744-08-10"), (-1, "1969-12-31T23:59:59.999Z"), (0, "1970-01-01T00:00:00.000Z"),
        (1_769_850_300_250, "2026-01-31T09:05:00.250Z"), (Int64.max, "144683-05-23"),
    ])
    func `any moment can be written`(milliseconds: Int64, text: String) {
        let written = Instant(milliseconds: milliseconds).iso8601
        #expect(written.hasPrefix(text), "\(written)")
    }
}
