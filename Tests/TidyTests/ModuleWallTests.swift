// What each module may import, as ARCHITECTURE.md has it. The compiler keeps the walls between targets;
// this keeps what is bought from outside, and what a target could reach through another.

import Testing

@Suite struct ModuleWallTests {
    /// What the files of a module import at most.
    private static let allowed: [(module: String, imports: Set<String>)] = [
        ("LeveretCore", ["DequeModule", "HeapModule"]),
        (
            "Leveret",
            [
                "LeveretCore", "CSQLite", "CoreMetrics", "Logging", "ServiceLifecycle", "Synchronization",
                "Glibc", "Darwin", "Musl", "Dispatch",
            ]
        ),
        (
            "LeveretTasks",
            [
                "Leveret", "DequeModule", "Logging", "CoreMetrics", "Tracing", "Instrumentation",
                "ServiceContextModule",
                "ServiceLifecycle", "Synchronization", "Foundation", "FoundationEssentials", "Dispatch",
            ]
        ),
        (
            "LeveretTasksGRDB",
            [
                "Leveret", "LeveretTasks", "GRDB", "Logging", "ServiceLifecycle", "Synchronization",
                "Foundation",
                "Dispatch",
            ]
        ),
        ("LeveretWire", ["LeveretCore", "NIOCore", "Glibc", "Darwin", "Musl"]),
        (
            "LeveretServer",
            [
                "LeveretCore", "Leveret", "LeveretWire", "Crypto", "CryptoExtras", "NIOCore", "NIOPosix",
                "NIOSSL", "NIOTLS",
                "Logging", "ServiceLifecycle", "Synchronization", "Foundation", "FoundationEssentials",
                "Glibc",
                "Darwin", "Musl",
            ]
        ),
        (
            "LeveretCLI",
            [
                "CYAML", "NIOEmbedded", "NIOSSL", "NIOTLS",
                "LeveretCore", "Leveret", "LeveretTasks", "LeveretWire", "LeveretServer", "NIOCore",
                "NIOPosix",
                "ArgumentParser", "Logging", "ServiceLifecycle", "UnixSignals", "Synchronization",
                "Foundation", "FoundationEssentials", "Glibc", "Darwin", "Musl",
            ]
        ),
    ]

    @Test(arguments: allowed)
    func `a module imports only what its wall lets through`(module: String, imports: Set<String>) {
        let files = Repository.swiftFiles(in: "Sources/\(module)")
        #expect(!files.isEmpty)
        for file in files {
            for name in Self.imports(of: file) where !imports.contains(name) {
                Issue.record("\(file) imports \(name), which \(module) must not")
            }
        }
    }

    @Test func `the core reads no clock, makes no chance and waits for nothing`() {
        let banned = [
            "import Foundation", "Date()", "ContinuousClock", "SuspendingClock",
            "SystemRandomNumberGenerator",
            ".random(", ".shuffle", " async ", " await ", "Mutex<",
        ]
        for file in Repository.swiftFiles(in: "Sources/LeveretCore") {
            for (index, line) in file.lines.enumerated() where !line.contains("//") {
                for words in banned where line.contains(words) && !line.contains("using:") {
                    Issue.record("\(file):\(index + 1): '\(words)'")
                }
            }
        }
    }

    /// The modules that `file` imports.
    static func imports(of file: SourceFile) -> [String] {
        file.lines.compactMap { line in
            var words = line.split(separator: " ").filter { !$0.hasPrefix("@") && $0 != "fileprivate" }
            if let access = words.first, ["public", "package", "internal", "private"].contains(access) {
                words.removeFirst()
            }
            guard words.first == "import", words.count > 1 else { return nil }
            let kinds: Set<Substring> = ["struct", "class", "enum", "protocol", "func", "var", "let"]
            let name = kinds.contains(words[1]) && words.count > 2 ? words[2] : words[1]
            return name.split(separator: ".").first.map(String.init)
        }
    }
}
