// The prompt of `shell` on a terminal: one line that is edited in place, with candidates below it where a word has
// several. The line itself is LineEdit's, what a word may become Completion's.

/// Asks for lines, one after the other.
struct ShellPrompt {
    private let terminal: RawTerminal
    private let completion: Completion
    private let text: String
    /// Keys that came together with the end of a line: they belong to the next.
    private var waiting: [TerminalKey] = []

    /// A prompt that shows `text`.
    init(_ text: String, on terminal: RawTerminal, completion: Completion) {
        self.terminal = terminal
        self.completion = completion
        self.text = text
    }

    /// The next line; `nil` where there will be none. The terminal is taken while it is typed.
    mutating func line(earlier: [String]) -> String? {
        terminal.take()
        defer { terminal.restore() }
        var edit = LineEdit(earlier: earlier)
        draw(edit)
        while TerminalSignals.ending == 0 {
            if waiting.isEmpty { waiting = terminal.keys(withinMilliseconds: -1) }
            while !waiting.isEmpty {
                guard let outcome = edit.pressed(waiting.removeFirst()) else { continue }
                switch outcome {
                case .entered(let text):
                    finish(edit)
                    return text
                case .dropped:
                    waiting = []
                    finish(edit, with: "^C")
                    edit = LineEdit(earlier: earlier)
                case .ended:
                    finish(edit)
                    return nil
                case .completion: complete(&edit)
                case .wipe: write("\u{1B}[H\u{1B}[2J")
                }
            }
            draw(edit)
        }
        finish(edit)
        return nil
    }

    private func complete(_ edit: inout LineEdit) {
        let (start, words) = completion.candidates(for: edit.textBeforeCursor)
        guard let first = words.first else { return write("\u{7}") }
        let before = edit.textBeforeCursor
        if words.count == 1 {
            // A folder goes on.
            let isFinished = !first.hasSuffix("/")
            edit.replace(
                from: start, with: ShellWords.quoted(first, isFinished: isFinished) + (isFinished ? " " : ""))
        } else {
            let common = Completion.common(words)
            let typed = ShellWords(before).last ?? ""
            if common.count > typed.count {
                edit.replace(from: start, with: ShellWords.quoted(common, isFinished: false))
            } else {
                finish(edit)
                write(Self.table(words, width: Terminal.width ?? 80))
            }
        }
    }

    /// Words in columns, from top to bottom; of very many the first.
    static func table(_ words: [String], width: Int) -> String {
        let rowsMax = 40
        let widest = words.reduce(0) { max($0, $1.columns) } + 2
        let columns = max(1, width / max(1, widest))
        let rows = min(rowsMax, (words.count + columns - 1) / columns)
        var text = ""
        for row in 0..<rows {
            let cells = stride(from: row, to: min(words.count, rows * columns), by: rows).map { words[$0] }
            let padded = cells.dropLast().map { $0.padded(to: widest, right: false) } + cells.suffix(1)
            text += padded.joined().clipped(to: max(1, width - 1)) + "\n"
        }
        let left = words.count - rows * columns
        return left > 0 ? text + "… and \(Quantity.count(left)) more\n" : text
    }

    private func drawn(_ edit: LineEdit) -> (text: String, column: Int) {
        let width = Terminal.width ?? 80
        return edit.drawn(behind: text.clipped(to: max(4, width / 2)), width: width)
    }

    private func draw(_ edit: LineEdit) {
        let (text, column) = drawn(edit)
        write("\r\u{1B}[K\(text)\r" + (column > 0 ? "\u{1B}[\(column)C" : ""))
    }

    /// Leaves the line as it stands, and goes below it.
    private func finish(_ edit: LineEdit, with ending: String = "") {
        write("\r\u{1B}[K" + drawn(edit).text + ending + "\n")
    }

    private func write(_ text: String) { Terminal.write(text.utf8, to: Terminal.standardOutput) }
}
