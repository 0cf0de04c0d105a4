// A terminal for tests, as a person uses one: tmux presses the keys and says what stands on the screen.

import Foundation
import LeveretTestSupport
import Testing

/// A word for the shell.
private func quoted(_ text: String) -> String { "'" + text.replacing("'", with: #"'\''"#) + "'" }

/// A terminal of its own in which a shell runs.
final class Screen {
    private let shell: Shell
    private let socket: String

    /// A terminal of so many cells.
    init(_ shell: Shell, columns: Int = 80, rows: Int = 24) async throws {
        self.shell = shell
        socket = shell.folder.path("tmux")
        _ = try await tmux(
            "-f /dev/null new-session -d -x \(columns) -y \(rows) 'PS1=ready: exec bash --norc --noprofile'")
        _ = try await tmux("set-option -g status off")
    }

    deinit {
        let shell = shell
        let socket = socket
        _ = try? shell.start(path: "/usr/bin/env", ["tmux", "-S", socket, "kill-server"]).finish()
    }

    @discardableResult
    func tmux(_ arguments: String) async throws -> String {
        try await shell.script("tmux -S '\(socket)' \(arguments)").output
    }

    /// Presses keys, by tmux' names.
    func press(_ keys: String...) async throws {
        for key in keys { try await tmux("send-keys '\(key)'") }
    }

    /// Types a line.
    func enter(_ line: String) async throws {
        try await tmux("send-keys -l \(quoted(line)) \\; send-keys Enter")
    }

    /// Waits until the screen has this text, and returns the screen.
    @discardableResult
    func shows(_ text: String, sourceLocation: SourceLocation = #_sourceLocation) async throws -> String {
        let result = try await shell.script(
            """
            for try in $(seq 200); do
                tmux -S '\(socket)' capture-pane -p >screen
                if grep -qF -- \(quoted(text)) screen; then break; fi
                sleep 0.1
            done
            cat screen
            """)
        #expect(
            result.output.contains(text), "\(text) is not in:\n\(result.output)",
            sourceLocation: sourceLocation)
        return result.output
    }
}
