import Foundation
import Leveret
import LeveretServer
import LeveretTestSupport
import Testing

/// The examples of docs/line-protocol.md, word for word against a real server.
@Suite struct DocExamplesTests {
    /// One line of a talk.
    fileprivate struct Step {
        var isClient: Bool
        var connection: Int
        var text: String
    }

    /// One box marked `talk`.
    struct Talk: CustomTestStringConvertible {
        fileprivate var steps: [Step] = []
        /// Its place in the page.
        var line = 0
        var testDescription: String { "the talk at line \(line)" }
    }

    private static let page = URL(filePath: #filePath).deletingLastPathComponent()
        .appending(path: "../../docs/line-protocol.md")

    private static let talks: [Talk] = {
        var talks: [Talk] = []
        var isInside = false
        // Without the page there is no talk, which the first test says.
        let text = (try? String(contentsOf: page, encoding: .utf8)) ?? ""
        for (index, line) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
            if line == "```talk" {
                isInside = true
                talks.append(Talk(line: index + 1))
            } else if line.hasPrefix("```") {
                isInside = false
            } else if isInside, let step = step(line) {
                talks[talks.count - 1].steps.append(step)
            }
        }
        return talks
    }()

    private static func step(_ line: Substring) -> Step? {
        guard let colon = line.firstIndex(of: ":") else { return nil }
        let who = line[..<colon]
        return Step(
            isClient: who.first == "C", connection: Int(who.dropFirst()) ?? 1,
            text: String(line[line.index(after: colon)...].dropFirst())
        )
    }

    /// True where `text` is what `pattern` says, `…` standing for anything.
    private static func matches(_ text: String, _ pattern: String) -> Bool {
        let parts = pattern.split(separator: "…", omittingEmptySubsequences: false)
        guard parts.count > 1 else { return text == pattern }
        var rest = text[...]
        guard rest.hasPrefix(parts[0]) else { return false }
        rest = rest.dropFirst(parts[0].count)
        for part in parts.dropFirst().dropLast() where !part.isEmpty {
            guard let range = rest.range(of: part) else { return false }
            rest = rest[range.upperBound...]
        }
        return rest.hasSuffix(parts[parts.count - 1])
    }

    @Test func `the page has talks`() {
        #expect(Self.talks.count >= 12)
    }

    @Test(arguments: talks)
    func `an example goes as it is printed`(talk: Talk) async throws {
        try await withServer { port in
            var sockets: [Int: LineSocket] = [:]
            var heard: [Int: [String]] = [:]
            for step in talk.steps {
                let socket = try sockets[step.connection] ?? LineSocket(port: port)
                sockets[step.connection] = socket
                if step.isClient {
                    #expect(heard[step.connection, default: []].isEmpty, "the page leaves out a reply")
                    socket.say(step.text)
                    socket.exchange()
                    continue
                }
                if heard[step.connection, default: []].isEmpty {
                    let reply = try socket.waitForNext()?.description ?? "(closed)"
                    heard[step.connection] = reply.split(separator: "\n", omittingEmptySubsequences: false)
                        .map(String.init)
                }
                let line = heard[step.connection]?.removeFirst() ?? ""
                #expect(
                    Self.matches(line, step.text), "the server says:\n\(line)\nthe page says:\n\(step.text)")
            }
        }
    }
}
