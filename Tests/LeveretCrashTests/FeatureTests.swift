// Every feature of queues as a talk in the line protocol: what is asked of one server, and what it must say after,
// or the next one on its file, after an orderly end or a `kill -9`.

import LeveretTestSupport
import Testing

/// How the server ends between the two halves of a talk.
enum Ending: CaseIterable, Sendable {
    case none
    case orderly
    case killed
}

/// A talk in two halves. `C:` is said, `S:` must come, with `…` for any text, and `B:` a body that came.
struct FeatureTalk: Sendable, CustomTestStringConvertible {
    var testDescription: String
    var before: String
    var after: String

    init(_ name: String, _ before: String, then after: String) {
        testDescription = name
        self.before = before
        self.after = after
    }
}

@Suite struct FeatureTests {
    @Test(arguments: FeatureTalk.all, Ending.allCases)
    func `a feature holds, also over a restart and a kill -9`(
        feature: FeatureTalk, ending: Ending
    ) async throws {
        try await onOwnThread {
            let folder = try TemporaryFolder()
            let path = folder.path("feature.db")
            var server = try ServerProcess(database: path)
            let first = try LineSocket(port: server.port)
            try talk(feature.before, first)
            switch ending {
            case .none: break
            case .orderly: _ = server.stop()
            case .killed: server.crash()
            }
            if ending != .none { server = try ServerProcess(database: path) }
            let second = try LineSocket(port: server.port)
            try talk(feature.after, second)
        }
    }

    private func talk(_ text: String, _ socket: LineSocket) throws {
        var expected: [String] = []
        for line in text.split(separator: "\n") {
            let rest = String(line.dropFirst(3))
            if line.hasPrefix("C:") {
                try hear(&expected, socket)
                socket.say(rest)
            } else {
                expected.append(String(line))
            }
        }
        try hear(&expected, socket)
    }

    /// Takes in as much as is expected. Pushes and replies may overtake one another.
    private func hear(_ expected: inout [String], _ socket: LineSocket) throws {
        var bodies: [String] = []
        while let line = expected.first {
            if line.hasPrefix("B:") {
                guard bodies.contains(String(expected.removeFirst().dropFirst(3))) else {
                    throw SocketFailure(description: "'\(line)' was expected, and not \(bodies)")
                }
                continue
            }
            guard let reply = try socket.waitForNext() else {
                throw SocketFailure(
                    description: "the server closed the connection instead of saying '\(line)'")
            }
            bodies.append(String(decoding: reply.body ?? [], as: UTF8.self))
            let place = expected.firstIndex { matches(reply.line, String($0.dropFirst(3))) }
            guard let place else {
                throw SocketFailure(description: "'\(reply)' came, and not \(expected)")
            }
            expected.remove(at: place)
        }
    }

    /// Whether `text` is `pattern`, in which `…` is any text.
    private func matches(_ text: String, _ pattern: String) -> Bool {
        var rest = text[...]
        let parts = pattern.split(separator: "…", omittingEmptySubsequences: false)
        guard let first = parts.first, let last = parts.last, rest.hasPrefix(first) else { return false }
        guard parts.count > 1 else { return text == pattern }
        rest = rest.dropFirst(first.count)
        for part in parts.dropFirst().dropLast() where !part.isEmpty {
            guard let range = rest.firstRange(of: part) else { return false }
            rest = rest[range.upperBound...]
        }
        return rest.hasSuffix(last)
    }
}
