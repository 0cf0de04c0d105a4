// The rules of CONTRIBUTING.md that a machine can check on a Swift file: each takes a file and says what breaks
// it. StyleTests holds the repository against them, RuleTests shows that each of them can be broken.

/// A rule: what it finds wrong with a file, in the words of who has to mend it.
struct Rule: Sendable, CustomStringConvertible {
    let name: String
    let complaints: @Sendable (SourceFile) -> [String]

    var description: String { name }
}

extension Rule {
    /// The linter holds code to 110 characters a line; it lets comments and texts pass, held to 120 here.
    static let size = Rule(name: "a file has at most 600 lines of at most 120 characters") { file in
        var complaints = file.lines.count > 601 ? ["\(file): split it by topic"] : []
        for (index, line) in file.lines.enumerated() {
            // Tests quote texts and old schemas as they are.
            if line.count > 120, !file.path.hasPrefix("Tests/") {
                complaints.append("\(file):\(index + 1): \(line.count) characters")
            }
            if line.last?.isWhitespace == true {
                complaints.append("\(file):\(index + 1): space at the end")
            }
        }
        return complaints
    }

    /// The program of an article is as long as the article.
    static let functions = Rule(name: "a function has at most 60 lines") { file in
        guard !file.path.hasSuffix("ArticleTests.swift") else { return [] }
        let lines = file.lines
        return lines.indices.compactMap { start -> String? in
            let line = lines[start]
            guard line.contains(#/^ *(?:[@\w()]+ )*(?:func|init|deinit)\b/#), line.last != "}" else {
                return nil
            }
            let indentation = line.prefix { $0 == " " }
            for end in lines.indices[(start + 1)...] {
                if lines[end].hasPrefix(indentation + "}") {
                    let count = end - start + 1
                    return count > 60 ? "\(file):\(start + 1): \(count) lines; name its steps" : nil
                }
                if !lines[end].isEmpty, !lines[end].hasPrefix(indentation) { return nil }  // has no body
            }
            return nil
        }
    }

    static let opening = Rule(name: "a file opens with a comment that says what it is") { file in
        guard file.path.hasPrefix("Sources/") || file.path.hasPrefix("examples/") else { return [] }
        let count = file.lines.prefix { $0.hasPrefix("// ") || $0 == "//" }.count
        return (1...12).contains(count)
            ? [] : ["\(file): open with 2–6 lines: what, who calls it, what it does not do"]
    }

    /// Calls that are banned, and what stands in their place.
    private static let bans: [(words: String, instead: String)] = [
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
        ("Task." + "detached", "a structured task"),
    ]

    static let banned = Rule(name: "no banned call is used") { file in
        file.lines.enumerated().flatMap { index, line in
            bans.filter { line.contains($0.words) }.map {
                "\(file):\(index + 1): '\($0.words)' is banned; use \($0.instead)"
            }
        }
    }

    /// Files whose tasks end before the function that starts them does: it waits for them, also when it is cancelled.
    /// That of KnownMessages, which asks for others, too, ends when the broker has answered.
    private static let awaitingFiles: Set<String> = [
        "Sources/LeveretTasks/KnownMessages.swift", "Sources/LeveretTasks/Worker/Finisher.swift",
        "Sources/LeveretTasks/Worker/QueueRun.swift", "Sources/LeveretTasks/Worker/Runner.swift",
    ]

    /// A task that nobody owns is not cancelled or awaited by anybody.
    static let tasks = Rule(name: "the broker starts no task that nobody owns") { file in
        guard file.path.hasPrefix("Sources/"), !awaitingFiles.contains(file.path) else { return [] }
        return file.lines.enumerated().compactMap { index, line in
            line.contains(#/\bTask(?:\.immediate)? *(?:\([^)]*\) *)?\{/#)
                ? "\(file):\(index + 1): an unstructured task" : nil
        }
    }

    /// Files that may say that the compiler can't see why they are safe; each carries its proof in a comment.
    private static let uncheckedFiles: Set<String> = [
        "Sources/Leveret/WorkerThread.swift", "Sources/Leveret/Store/Database.swift",
    ]

    static let unchecked = Rule(name: "what the compiler can not check stands in named files only") { file in
        guard file.text.contains("@unchecked " + "Sendable") else { return [] }
        if !uncheckedFiles.contains(file.path) { return ["\(file): see the list in Rules.swift"] }
        let hasProof = file.text.contains("/// Why `@unchecked " + "Sendable` holds: ")
        return hasProof ? [] : ["\(file): give the proof"]
    }

    static let sleeping = Rule(name: "tests wait for conditions, not for time to pass") { file in
        guard file.path.hasPrefix("Tests/") else { return [] }
        return ["Task.sle" + "ep(", "Thread.sle" + "ep(", "usle" + "ep("].filter { file.text.contains($0) }
            .map {
                "\(file): \($0): wait for what the test is about, or move a manual clock"
            }
    }

    /// The linter sees to declarations; it does not look at the cases of an enumeration.
    static let cases = Rule(name: "every case of a public enumeration is documented") { file in
        guard file.path.hasPrefix("Sources/") else { return [] }
        var complaints: [String] = []
        var inside: Substring?  // the indentation of the enumeration
        for (index, line) in file.lines.enumerated() {
            let indentation = line.prefix { $0 == " " }
            if line.contains(#/^ *public (?:indirect )?enum /#), line.last == "{" { inside = indentation }
            if line == (inside ?? "-") + "}" { inside = nil }
            guard let inside, indentation.count == inside.count + 4 else { continue }
            guard line.contains(#/^ *(?:indirect )?case /#) else { continue }
            let above = index > 0 ? file.lines[index - 1].drop { $0 == " " } : ""
            if !above.hasPrefix("///") { complaints.append("\(file):\(index + 1): say what it means") }
        }
        return complaints
    }
}
