// Bindings as a tree and as a picture, in exact text.

import Testing

@testable import LeveretCLI

private func binding(
    _ source: String, _ destination: String, _ pattern: String = "", isQueue: Bool = true,
    arguments: String = "{}"
) throws -> BindingRow {
    let kind = isQueue ? "queue" : "exchange"
    let text =
        #"{"source":"\#(source)","destination":"\#(destination)","destination_type":"\#(kind)","#
        + #""pattern":"\#(pattern)","arguments":\#(arguments)}"#
    return try #require(JSON(text.utf8).flatMap { BindingRow($0) })
}

@Suite struct BindingTreeTests {
    private func bindings() throws -> [BindingRow] {
        [
            try binding("flights", "delays", "delayed.#"),
            try binding("flights", "archive", "#", isQueue: false),
            try binding("archive", "old"),
            try binding("archive", "pdf", arguments: #"{"x-match":"all","f":"pdf"}"#),
            try binding("other", "old", "k"), try binding("other", "archive", "k", isQueue: false),
        ]
    }

    @Test func `a tree has an exchange's bindings below it, and shows each exchange once`() throws {
        #expect(
            BindingTree.lines(try bindings()) == [
                "flights", "├─ delayed.# → delays", "└─ # → archive (exchange)", "   ├─ → old",
                #"   └─ {"x-match":"all","f":"pdf"} → pdf"#, "other", "├─ k → old",
                "└─ k → archive (exchange, see above)",
            ])
        #expect(BindingTree.lines([]) == [])
    }

    @Test func `exchanges that are bound in a circle end`() throws {
        let circle = [
            try binding("a", "b", isQueue: false), try binding("b", "a", isQueue: false),
            try binding("b", "q"),
        ]
        #expect(
            BindingTree.lines(circle) == [
                "a", "└─ → b (exchange)", "   ├─ → a (exchange, see above)", "   └─ → q",
            ])
        #expect(BindingRow.choose(circle, from: "b", to: nil).count == 3)
    }

    @Test func `a choice has whole ways`() throws {
        let all = try bindings()
        #expect(BindingRow.choose(all, from: "archive", to: nil).map(\.destination) == ["old", "pdf"])
        #expect(
            BindingRow.choose(all, from: nil, to: "pdf").map(\.source) == ["flights", "archive", "other"])
        #expect(
            BindingRow.choose(all, from: "other", to: "old").map(\.destination) == ["old", "old", "archive"])
        #expect(BindingRow.choose(all, from: "none", to: nil) == [])
    }

    @Test func `a chain of many exchanges is shown`() throws {
        let chain = try (0..<2000).map { try binding("e\($0)", "e\($0 + 1)", isQueue: false) }
        #expect(BindingTree.lines(chain).count == 2001)
        #expect(BindingRow.choose(chain, from: "e0", to: nil).count == 2000)
    }

    @Test func `a picture names exchanges and queues apart, and quotes what it must`() throws {
        let same = [try binding("jobs", "jobs", #"a\"b\\c"#)]
        #expect(
            BindingPicture.dot(same) == #"""
                digraph leveret {
                  rankdir=LR;
                  "exchange jobs" [label="jobs", shape=ellipse];
                  "queue jobs" [label="jobs", shape=box];
                  "exchange jobs" -> "queue jobs" [label="a\"b\\c"];
                }
                """#)
    }
}
