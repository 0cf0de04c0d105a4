// Topic patterns against a plain recursive matcher, and the cost of patterns made to backtrack.

import LeveretTestSupport
import Testing

@testable import LeveretCore

@Suite struct TopicTrieTests {
    /// AMQP's definition, word by word; slow where there are many `#`.
    private static func matches(_ pattern: ArraySlice<String>, _ key: ArraySlice<String>) -> Bool {
        guard let first = pattern.first else { return key.isEmpty }
        if first == "#" {
            return matches(pattern.dropFirst(), key) || (!key.isEmpty && matches(pattern, key.dropFirst()))
        }
        guard let word = key.first, first == "*" || first == word else { return false }
        return matches(pattern.dropFirst(), key.dropFirst())
    }

    private static func words(_ text: String) -> ArraySlice<String> {
        text.isEmpty
            ? [] : ArraySlice(text.split(separator: ".", omittingEmptySubsequences: false).map(String.init))
    }

    private static func text(_ words: [String], _ random: inout SplitMix64) -> String {
        let count = Int.random(in: 0...5, using: &random)
        return (0..<count).map { _ in words.randomElement(using: &random) ?? "" }.joined(separator: ".")
    }

    @Test(arguments: 1...20 as ClosedRange<UInt64>)
    func `the trie finds what the definition finds, while patterns come and go`(seed: UInt64) {
        var random = SplitMix64(seed: seed)
        var trie = TopicTrie()
        var nodes: [String: Int32] = [:]
        for _ in 0..<200 {
            let pattern = Self.text(["a", "b", "", "*", "#", "long-word-that-is-no-small-string"], &random)
            if let node = nodes[pattern] {
                trie.remove(node)
                nodes[pattern] = nil
            } else {
                nodes[pattern] = trie.insert(pattern)
            }
            let key = Self.text(["a", "b", "c", "", "*"], &random)
            let expected = nodes.filter { Self.matches(Self.words($0.key), Self.words(key)) }.values
            #expect(trie.matches(key).sorted() == expected.sorted(), "key '\(key)' of \(nodes.keys)")
        }
    }

    @Test(arguments: 1...20 as ClosedRange<UInt64>)
    func `many # in a pattern find what the definition finds`(seed: UInt64) {
        var random = SplitMix64(seed: seed)
        var trie = TopicTrie()
        var nodes: [String: Int32] = [:]
        func text(_ words: [String], _ count: ClosedRange<Int>) -> String {
            (0..<Int.random(in: count, using: &random)).map { _ in words.randomElement(using: &random) ?? "" }
                .joined(separator: ".")
        }
        for _ in 0..<100 {
            let pattern = text(["a", "b", "#", "#", "*"], 3...8)
            nodes[pattern] = trie.insert(pattern)
            if nodes.count > 12, let (text, node) = nodes.first {
                trie.remove(node)
                nodes[text] = nil
            }
            let key = text(["a", "a", "b"], 2...9)
            let expected = nodes.filter { Self.matches(Self.words($0.key), Self.words(key)) }.values
            #expect(trie.matches(key).sorted() == expected.sorted(), "key '\(key)' of \(nodes.keys)")
        }
    }

    @Test(arguments: [
        ("#", "", true), ("", "", true), ("*", "", false), ("*", ".", false), ("*.*", ".", true),
        ("a..b", "a..b", true), ("a.*.b", "a..b", true), ("a.#.b", "a.b", true), ("#.#", "", true),
        ("a.#", "a", true), ("a.#", "ab", false), ("#.a", "b.a.a", true), ("*.#.*", "a", false),
    ])
    func `words may be empty and the empty key has none`(pattern: String, key: String, matches: Bool) {
        var trie = TopicTrie()
        let node = trie.insert(pattern)
        #expect(trie.matches(key) == (matches ? [node] : []))
    }

    @Test func `a pattern of many # does not backtrack`() {
        var trie = TopicTrie()
        _ = trie.insert(Array(repeating: "#.a", count: 30).joined(separator: ".") + ".b")
        let key = Array(repeating: "a", count: 128).joined(separator: ".")
        #expect(trie.matches(key) == [])
        #expect(trie.matches(key + ".b").count == 1)
    }
}

@Suite struct HeadersMatchTests {
    @Test(
        arguments: [
            ("all", ["a": .int(1), "b": .void], ["a": .double(1), "b": .string("any")], true),
            ("all", ["a": .int(1), "b": .void], ["a": .int(1)], false),
            ("any", ["a": .int(1), "b": .int(2)], ["b": .int(2)], true),
            ("any", ["a": .int(1)], ["a": .string("1")], false),
            ("any", [:], ["a": .int(1)], false), ("all", [:], [:], true),
            ("all", ["x-a": .int(1)], [:], true), ("all-with-x", ["x-a": .int(1)], [:], false),
            ("any", ["x-a": .int(1)], ["x-a": .int(1)], false),
            ("any-with-x", ["x-a": .int(1)], ["x-a": .int(1)], true),
        ] as [(String, FieldTable, FieldTable, Bool)])
    func `headers match by their values`(
        mode: String, wanted: FieldTable, headers: FieldTable, matches: Bool
    ) throws {
        var arguments = wanted
        arguments["x-match"] = .string(mode)
        var lookup = HeaderLookup(headers)
        let match = try HeadersMatch(arguments)
        #expect(match.matches(&lookup) == matches)
    }

    @Test(arguments: [3, 16, 17, 5000])
    func `headers are found by name, however many there are`(count: Int) {
        let fields = (0..<count).map { FieldTable.Field(name: "h\($0)", value: .int(Int64($0))) }
        var lookup = HeaderLookup(FieldTable(unique: fields))
        #expect(lookup.value("h0") == .int(0) && lookup.value("h2") == .int(2))
        #expect(lookup.value("h\(count - 1)") == .int(Int64(count - 1)))
        #expect(lookup.value("h\(count)") == nil && lookup.value("") == nil)
    }

    @Test func `tables are equivalent in any order, numbers by value`() {
        let table: FieldTable = ["b": 2, "a": 1, "c": .table(["x": 1])]
        #expect(table.isEquivalent(to: ["c": .table(["x": .double(1)]), "a": 1, "b": 2]))
        let others: [FieldTable] = [
            ["b": 2, "c": .table(["x": 1])], ["a": 1, "b": 3, "c": .table(["x": 1])],
            ["a": 1, "b": 2, "c": .table(["x": 2])], ["a": 1, "b": 2, "c": .table(["x": 1]), "d": 0],
        ]
        for other in others { #expect(!table.isEquivalent(to: other)) }
    }

    @Test(arguments: [FieldValue.string("some"), .int(1), .void])
    func `an unknown x-match is refused`(value: FieldValue) {
        #expect(throws: BrokerError.self) { try HeadersMatch(["x-match": value]) }
    }
}
