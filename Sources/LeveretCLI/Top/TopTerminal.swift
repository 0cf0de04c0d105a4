// The terminal while `top` has it: keys one by one, a screen of its own, and everything as it was afterwards, however
// it ends. It draws the lines that changed and knows nothing of what they say.

/// A terminal that has been taken over. `restore` gives it back.
final class TopTerminal {
    private let raw: RawTerminal
    private var drawn: [TopLine] = []
    private var isTaken = false

    /// Takes over the terminal of standard input and output.
    ///
    /// - Throws: `Failure` where there is none, or one that can't move its cursor.
    init() throws(Failure) {
        guard let raw = RawTerminal() else {
            throw Failure(
                .usage, "top needs a terminal that can move its cursor; --once prints what it would show")
        }
        self.raw = raw
        TerminalSignals.listen(stops: true)
        take()
    }

    private func take() {
        raw.take()
        isTaken = true
        // The screen of its own, no cursor, no wrapping at the edge.
        write("\u{1B}[?1049h\u{1B}[?25l\u{1B}[?7l\u{1B}[2J")
    }

    /// Gives the terminal back while the process is stopped, and takes it again: all is to be drawn anew.
    func stop() {
        restore()
        TerminalSignals.stop()
        take()
    }

    deinit { restore() }

    /// Gives the terminal back as it was.
    func restore() {
        guard isTaken else { return }
        isTaken = false
        write("\u{1B}[0m\u{1B}[?7h\u{1B}[?25h\u{1B}[?1049l")
        raw.restore()
    }

    /// Shows these lines; only those that changed are sent. After a change of size, everything.
    func draw(_ lines: [TopLine], isNewSize: Bool) {
        var text = ""
        if isNewSize {
            drawn = []
            text = "\u{1B}[2J"
        }
        text += Self.changes(from: drawn, to: lines)
        drawn = lines
        if !text.isEmpty { write(text) }
    }

    /// What makes a screen of the one that stands.
    static func changes(from old: [TopLine], to new: [TopLine]) -> String {
        var text = ""
        for (row, line) in new.enumerated() where row >= old.count || old[row] != line {
            let style =
                switch line.style {
                case .plain: ""
                case .bold: "\u{1B}[1m"
                case .reversed: "\u{1B}[7m"
                }
            // Wiped first: behind the last column a wipe would take that one too.
            text += "\u{1B}[\(row + 1);1H\u{1B}[K\(style)\(line.text)\u{1B}[0m"
        }
        return text
    }

    /// The keys that were pressed within so many milliseconds; a signal ends the wait.
    func keys(withinMilliseconds milliseconds: Int) -> [TerminalKey] {
        raw.keys(withinMilliseconds: milliseconds)
    }

    private func write(_ text: String) { Terminal.write(text.utf8, to: Terminal.standardOutput) }
}
