// docs/incident.md is played, as `make demo-incident` does, and must go as it is printed.

import Foundation
import LeveretTestSupport
import Testing

@Suite struct IncidentTests {
    private static let root = URL(filePath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

    @Test func `the incident goes as it is printed`() async throws {
        let page = try String(contentsOf: Self.root.appending(path: "docs/incident.md"), encoding: .utf8)
        let play = Self.root.appending(path: "examples/incident/play").path()
        let folder = try TemporaryFolder()
        let result = try await runProgram(
            "/bin/bash", [play, Program.folder.path()], environment: ["TMPDIR": folder.url.path()])
        #expect(result.status == 0, "\(result.errors)")
        #expect(Transcript.difference(of: result.output, from: page) == nil)
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder.url.path()) == [], "it tidies up")
    }

    @Test func `a page agrees with what it stands for, and with nothing else`() {
        #expect(Transcript.agrees("a 12 b", with: "a … b"))
        #expect(Transcript.agrees("a b b", with: "a … b") && Transcript.agrees("same", with: "same"))
        #expect(Transcript.agrees("x1y2z", with: "x…y…z") && Transcript.agrees("1", with: "…"))
        #expect(!Transcript.agrees("a 12 c", with: "a … b") && !Transcript.agrees("same ", with: "same"))
        #expect(!Transcript.agrees("xz", with: "x…y…z") && !Transcript.agrees("ab", with: "abc…c"))
        #expect(Transcript.difference(of: "a\nb", from: "a\n…") == nil)
        #expect(Transcript.difference(of: "a", from: "a\nb") == "line 2 is\n(nothing)\nand the page has\nb")
    }
}
