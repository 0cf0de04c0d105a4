// Rules that can't fail keep nothing: each is shown a file that breaks it, and one that just does not.

import Testing

@Suite struct RuleTests {
    private struct Example: Sendable, CustomTestStringConvertible {
        let rule: Rule
        let path: String
        let breaking: String
        let keeping: String

        init(_ rule: Rule, _ path: String = "Sources/A.swift", breaking: String, keeping: String) {
            self.rule = rule
            self.path = path
            self.breaking = breaking
            self.keeping = keeping
        }

        var testDescription: String { rule.name }
    }

    private static func function(lines: Int) -> String {
        "struct A {\n    func f() {\n" + String(repeating: "        g()\n", count: lines - 2) + "    }\n}\n"
    }

    private static func line(_ count: Int) -> String { "// " + String(repeating: "a", count: count - 3) }

    private static let examples = [
        Example(.size, breaking: line(121), keeping: line(120)),
        Example(.size, breaking: "let a = 1 \n", keeping: "let a = 1\n"),
        Example(
            .size, breaking: String(repeating: "a\n", count: 601),
            keeping: String(repeating: "a\n", count: 600)),
        Example(.functions, breaking: function(lines: 61), keeping: function(lines: 60)),
        Example(.opening, breaking: "import A\n", keeping: "// What it is.\n\nimport A\n"),
        Example(.banned, breaking: "let a = try" + "! b()\n", keeping: "let a = try? b()\n"),
        Example(.banned, breaking: "fatal" + "Error(\"no\")\n", keeping: "preconditionFailure(\"no\")\n"),
        Example(.banned, breaking: "// TO" + "DO: more\n", keeping: "// more\n"),
        Example(.tasks, breaking: "Task { await f() }\n", keeping: "group.addTask { await f() }\n"),
        Example(
            .unchecked, breaking: "struct A: @unchecked " + "Sendable {}\n",
            keeping: "struct A: Sendable {}\n"),
        Example(
            .unchecked, "Sources/Leveret/WorkerThread.swift",
            breaking: "struct A: @unchecked " + "Sendable {}\n",
            keeping: "/// Why `@unchecked " + "Sendable` holds: so.\nstruct A: @unchecked " + "Sendable {}\n"),
        Example(
            .sleeping, "Tests/A.swift", breaking: "try await Task.sle" + "ep(for: .seconds(1))\n",
            keeping: "await Task.yield()\n"),
        Example(
            .cases, breaking: "public enum A {\n    case b\n}\n",
            keeping: "public enum A {\n    /// B.\n    case b\n}\nenum C {\n    case d\n}\n"),
    ]

    @Test(arguments: examples)
    private func `a rule finds what breaks it and lets pass what does not`(example: Example) {
        let broken = SourceFile(path: example.path, text: example.breaking)
        let kept = SourceFile(path: example.path, text: example.keeping)
        #expect(!example.rule.complaints(broken).isEmpty)
        #expect(example.rule.complaints(kept) == [])
    }

    @Test func `an import is found however it is written`() {
        let file = SourceFile(
            path: "A.swift",
            text: """
                import A
                public import B
                @_exported public import C
                @testable import D
                import struct E.F
                internal import G.H
                // import Z
                let important = 1
                """)
        #expect(ModuleWallTests.imports(of: file) == ["A", "B", "C", "D", "E", "G"])
    }

    @Test func `a heading is found by the anchor that a web page makes of it`() {
        let file = SourceFile(path: "a.md", text: "# One, two: `three`\n\n## Four-five\ntext\n")
        #expect(DocumentTests.anchors(of: file) == ["one-two-three", "four-five"])
    }
}
