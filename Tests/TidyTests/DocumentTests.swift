// Keeps the documents true where a machine can: links lead somewhere, the README's code is the example's
// code, and nothing points into the folders of one machine.

import Foundation
import Testing

@Suite struct DocumentTests {
    private static let documents = Repository.files.filter { $0.path.hasSuffix(".md") }

    @Test(arguments: documents)
    func `every link within the repository leads to a file or a heading`(document: SourceFile) {
        for match in document.text.matches(of: /\]\(([^)\s]+)\)/) {
            let link = String(match.1)
            if link.hasPrefix("http://") || link.hasPrefix("https://") { continue }
            let parts = link.split(separator: "#", maxSplits: 1, omittingEmptySubsequences: false)
            let folder = (document.path as NSString).deletingLastPathComponent
            let path = ((folder as NSString).appendingPathComponent(String(parts[0])) as NSString)
                .standardizingPath
            let target = parts[0].isEmpty ? document.path : path
            #expect(Repository.exists(target), "\(document): \(link)")
            if parts.count == 2, let file = Repository.file(target) {
                #expect(Self.anchors(of: file).contains(String(parts[1])), "\(document): \(link)")
            }
        }
    }

    @Test func `the README shows the example as it is compiled`() throws {
        let readme = try #require(Repository.file("README.md"))
        let example = try #require(Repository.file("examples/embedded-queue/main.swift"))
        let shown = try #require(readme.text.firstMatch(of: /```swift\n([\s\S]*?)```/)).1
        let code = example.lines.drop { $0.hasPrefix("//") || $0.isEmpty }.joined(separator: "\n")
        #expect(String(shown) == code)
    }

    @Test func `every test that the semantics, AMQP and the table of arguments name is there`() throws {
        let semantics = try #require(Repository.file("docs/semantics.md"))
        let queues = try #require(Repository.file("docs/queues.md"))
        let amqp = try #require(Repository.file("docs/amqp.md"))
        let tests = Repository.swiftFiles(in: "Tests").map(\.text).joined()
        let proofs =
            semantics.lines.drop { $0 != "## What proves it" } + queues.lines
            + amqp.lines.drop { $0 != "## What proves it" }.prefix { $0 != "## Limits" }
        let table = proofs.filter { $0.hasPrefix("| ") && !$0.contains("proved by") }
        for row in table {
            let proof = row.split(separator: "|").last ?? ""
            for name in proof.matches(of: /`([^`]+)`/) {
                #expect(tests.contains("func `\(name.1)`"), "\(name.1)")
            }
        }
    }

    @Test func `every argument has a row in the table of arguments, with a test`() throws {
        let names = try #require(Repository.file("Sources/LeveretCore/ArgumentNames.swift"))
        let queues = try #require(Repository.file("docs/queues.md"))
        for (kind, heading) in [("QueueArgument", "## Of queues"), ("ExchangeArgument", "## Of exchanges")] {
            let code = names.lines.drop { !$0.hasPrefix("public enum \(kind)") }.prefix { $0 != "}" }
            let rows = queues.lines.drop { $0 != heading }.dropFirst().prefix { !$0.hasPrefix("## ") }
            let found = code.compactMap { $0.firstMatch(of: /static let \w+ = "([^"]+)"/)?.1 }
            #expect(found.count > 2)
            for name in found {
                let row = rows.first { $0.hasPrefix("| `\(name)` |") }
                #expect(row?.split(separator: "|").last?.contains("`") == true, "\(kind) \(name)")
            }
        }
    }

    @Test func `every file that ARCHITECTURE names is there`() throws {
        let architecture = try #require(Repository.file("ARCHITECTURE.md"))
        let named = architecture.text.matches(of: #/`([A-Za-z]+[/A-Za-z+]*\.swift|[A-Za-z]+/[A-Za-z/]+)`/#)
        #expect(named.count > 10)
        for match in named {
            let path = match.1.hasSuffix("/") ? match.1.dropLast() : match.1
            let isThere =
                Repository.exists(String(path))
                || Repository.files.contains { "/\($0.path)/".contains("/\(path)/") }
            #expect(isThere, "\(path)")
        }
    }

    @Test func `ARCHITECTURE says of every library why it is there`() throws {
        let package = try #require(Repository.file("Package.swift"))
        let architecture = try #require(Repository.file("ARCHITECTURE.md"))
        let names = [
            "swift-argument-parser": "ArgumentParser", "swift-nio": "SwiftNIO",
        ]
        let urls = package.text.matches(of: #/package\(url: "[^"]*/([^/"]+)"/#)
        #expect(!urls.isEmpty)
        for url in urls {
            let name = names[String(url.1)] ?? String(url.1)
            let reason = architecture.lines.first { $0.hasPrefix("- ") && $0.contains("**\(name)**") }
            #expect(reason != nil, "\(name)")
        }
    }

    @Test(arguments: Repository.files)
    func `no file names a place on somebody's machine`(file: SourceFile) {
        for place in ["/ro" + "ot/", "/ho" + "me/", "/Use" + "rs/", "/wo" + "rk/"]
        where file.text.contains(place) {
            Issue.record("\(file) names \(place)")
        }
    }

    @Test func `the repository's top level holds what CONTRIBUTING lists`() throws {
        let contributing = try #require(Repository.file("CONTRIBUTING.md"))
        for name in ["Sources", "Tests", "examples", "docs", "Benchmarks", "FuzzTesting", ".ci"] {
            #expect(contributing.text.contains("`\(name)/`"), "\(name)")
        }
    }

    /// The anchors that a web page makes of the headings.
    static func anchors(of file: SourceFile) -> Set<String> {
        Set(
            file.lines.filter { $0.hasPrefix("#") }.map { heading in
                heading.drop { $0 == "#" || $0 == " " }.lowercased()
                    .filter { $0.isLetter || $0.isNumber || $0 == " " || $0 == "-" || $0 == "_" }
                    .replacing(" ", with: "-")
            }
        )
    }
}
