// A body in the user's editor, for `msg edit` and `dead replay --edit`. The text stands in a file of its own until
// the server has taken it, so that nothing that was typed is lost.

#if canImport(Darwin)
import Darwin
#else
import Glibc
#endif

/// A body that is being edited.
struct Editor {
    /// The file that holds it.
    let path: String
    private let original: [UInt8]
    /// The user's editor.
    private let program: String

    /// Writes `body` to a file.
    ///
    /// - Throws: `Failure` where it is no text, or there is nobody to edit it.
    init(_ body: [UInt8]) throws(Failure) {
        guard String(validating: body, as: UTF8.self) != nil, !body.contains(0) else {
            throw Failure(.refused, "the body is no text; give the new one with --file")
        }
        original = body
        program = try Self.program()
        let file = try TemporaryFile(holding: body)
        close(file.descriptor)
        path = file.path
    }

    /// Opens the file in `$VISUAL`, else `$EDITOR`, else vi, and returns what it holds then; `nil` where that
    /// is what it held before.
    ///
    /// - Throws: `Failure` where the editor fails; the file is gone where nothing was changed in it.
    func edit() throws(Failure) -> [UInt8]? {
        let before = signal(SIGINT, SIG_IGN)  // it is the editor's
        defer { signal(SIGINT, before) }
        let end: ChildProgram.End
        do {
            end = try ChildProgram(shell: "\(program) \"$1\"", [path], group: .ours).wait()
        } catch {
            discard()
            throw error
        }
        var text = try Input.contents(of: path)
        // Editors end a last line that had no end.
        if original.last != .lineFeed, text.last == .lineFeed { text.removeLast() }
        let isChanged = text != original
        guard end == .exited(0) else {
            if !isChanged { discard() }
            let kept = isChanged ? "; \(kept)" : ""
            throw Failure(.refused, "the editor '\(program.printable)' failed, so nothing was done\(kept)")
        }
        if !isChanged { discard() }
        return isChanged ? text : nil
    }

    /// What to say when the server has not taken the text.
    var kept: String { "your text is kept in \(path.printable)" }

    /// Removes the file.
    func discard() { unlink(path) }

    /// The user's editor.
    private static func program() throws(Failure) -> String {
        if let line = Terminal.environment("VISUAL") ?? Terminal.environment("EDITOR") { return line }
        guard Terminal.isTerminal(Terminal.standardInput) else {
            throw Failure(
                .usage, "there is no terminal to edit on; say --body or --file, or name a program in EDITOR")
        }
        return "vi"
    }
}

extension Failure {
    /// The failure, and where the text is that was typed.
    func keeping(_ editor: Editor) -> Failure { Failure(status, "\(text); \(editor.kept)") }
}
