// The lines that were typed at the prompt of `shell`, kept from one time to the next in a file that only this user can
// read: $XDG_STATE_HOME/leveret/shell-history, else ~/.local/state/leveret/shell-history (XDG Base Directory 0.8).

#if canImport(Darwin)
import Darwin
#else
import Glibc
#endif

/// The lines before, the oldest first.
struct ShellHistory {
    /// So many lines are kept.
    static let linesMax = 1000

    private(set) var lines: [String] = []
    /// `nil` where there is nowhere to keep them.
    private let path: String?

    /// The lines that the file holds. One that can't be read or made is no reason not to start: the lines are then
    /// those of this time.
    init(environment: (String) -> String? = Terminal.environment) {
        path = Self.path(environment)
        guard let path, let bytes = try? Input.contents(of: path) else { return }
        let text = String(decoding: bytes, as: UTF8.self)
        lines = text.split(separator: "\n").suffix(Self.linesMax).map(String.init)
        // Twice as long as it need be: it is cut back.
        if text.utf8.count(where: { $0 == .lineFeed }) > 2 * Self.linesMax { rewrite(path) }
    }

    /// Where the file is.
    static func path(_ environment: (String) -> String?) -> String? {
        // A relative path counts as none, as the specification has it.
        if let state = environment("XDG_STATE_HOME"), state.hasPrefix("/") {
            return state + "/leveret/shell-history"
        }
        return environment("HOME").map { $0 + "/.local/state/leveret/shell-history" }
    }

    /// Adds a line; not one that is empty, begins with a space, or repeats the one before.
    mutating func add(_ line: String) {
        guard let first = line.first, first != " ", line != lines.last else { return }
        lines.append(line)
        if lines.count > Self.linesMax { lines.removeFirst() }
        guard let path else { return }
        Self.makeFolder(of: path)
        let descriptor = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { return }
        // In one piece: other shells may write to it, too.
        Terminal.write((line + "\n").utf8, to: descriptor)
        close(descriptor)
    }

    private func rewrite(_ path: String) {
        let part = "\(path)-part\(getpid())"
        let descriptor = open(part, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { return }
        let isWritten = Terminal.write((lines.joined(separator: "\n") + "\n").utf8, to: descriptor)
        close(descriptor)
        guard isWritten, rename(part, path) == 0 else {
            unlink(part)
            return
        }
    }

    /// Makes the folders that are missing, for this user alone.
    private static func makeFolder(of path: String) {
        var end = path.startIndex
        while let slash = path[end...].dropFirst().firstIndex(of: "/") {
            mkdir(String(path[..<slash]), 0o700)
            end = slash
        }
    }
}
