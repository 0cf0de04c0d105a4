// The rules of CONTRIBUTING.md that a machine can check on every Swift file: sizes, opening comments,
// calls that are banned and what to use instead. The linter holds code to 110 characters a line; it lets
// comments and texts pass, which are held to 120 here.

import Testing

@Suite struct StyleTests {
    private static let code = Repository.swiftFiles(
        in: "Sources",
        "Tests",
        "examples",
        "Benchmarks",
        "FuzzTesting"
    )

    @Test(arguments: code)
    func `a file has at most 600 lines of at most 120 characters`(file: SourceFile) {
        #expect(file.lines.count <= 601, "\(file): split it by topic")
        for (index, line) in file.lines.enumerated() {
            // Tests quote texts and old schemas as they are.
            let isQuotation = file.description.hasPrefix("Tests/") && line.count > 120
            #expect(line.count <= 120 || isQuotation, "\(file):\(index + 1): \(line.count) characters")
            #expect(line.last?.isWhitespace != true, "\(file):\(index + 1): space at the end")
        }
    }

    @Test(arguments: Repository.swiftFiles(in: "Sources", "examples"))
    func `a file opens with a comment that says what it is`(file: SourceFile) {
        #expect(
            file.text.hasPrefix("// "),
            "\(file): open with 2–6 lines: what, who calls it, what it does not do"
        )
    }

    /// A call that is banned, and what stands in its place.
    private static let banned: [(words: String, instead: String)] = [
        ("try" + "!", "do and catch"),
        ("as" + "!", "as? and a clear error"),
        ("fatal" + "Error(", "a typed error, or preconditionFailure for a mistake of our own"),
        ("TO" + "DO", "finish it, or open an issue"),
        ("FIX" + "ME", "fix it, or open an issue"),
        ("X" + "XX", "fix it, or open an issue"),
        ("Dispatch" + "Queue", "a structured task, the writer's thread or an event loop"),
        ("Dispatch" + "Semaphore", "a condition, or an async hand-over"),
        ("NIO" + "Lock", "Mutex"),
        ("nonisolated(" + "unsafe)", "Mutex, or a value handed over"),
    ]

    @Test(arguments: code)
    func `no banned call is used`(file: SourceFile) {
        for (index, line) in file.lines.enumerated() {
            for ban in Self.banned where line.contains(ban.words) {
                Issue.record("\(file):\(index + 1): '\(ban.words)' is banned; use \(ban.instead)")
            }
        }
    }

    /// Files that may say that the compiler can't see why they are safe; each carries its proof in a comment.
    private static let unchecked: Set<String> = ["Sources/Leveret/WorkerThread.swift"]

    @Test(arguments: code)
    func `what the compiler can not check stands in named files only`(file: SourceFile) {
        if Self.unchecked.contains(file.path) {
            #expect(
                file.text.contains("/// Why `@unchecked " + "Sendable` holds: "), "\(file): give the proof")
            return
        }
        #expect(!file.text.contains("@unchecked " + "Sendable"), "\(file): see the list in this test")
    }

    @Test(arguments: Repository.swiftFiles(in: "Tests"))
    func `tests wait for conditions, not for time to pass`(file: SourceFile) {
        for call in ["Task.sle" + "ep(", "Thread.sle" + "ep(", "usle" + "ep("] {
            #expect(
                !file.text.contains(call),
                "\(file): wait for what the test is about, or move a manual clock"
            )
        }
    }
}
