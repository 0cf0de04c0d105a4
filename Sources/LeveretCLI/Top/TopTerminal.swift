// The terminal while `top` has it: keys one by one, a screen of its own, and everything as it was afterwards, however
// it ends. It draws the lines that changed and knows nothing of what they say.

import Synchronization

#if canImport(Darwin)
import Darwin
#else
import Glibc
#endif

/// A terminal that has been taken over. `restore` gives it back.
final class TopTerminal {
    private var before = termios()
    private var drawn: [TopLine] = []
    private var isTaken = false

    /// Takes over the terminal of standard input and output.
    ///
    /// - Throws: `Failure` where there is none, or one that can't move its cursor.
    init() throws(Failure) {
        guard Terminal.isTerminal(Terminal.standardInput), Terminal.isTerminal(Terminal.standardOutput),
            Terminal.environment("TERM") != "dumb", tcgetattr(Terminal.standardInput, &before) == 0
        else {
            throw Failure(
                .usage, "top needs a terminal that can move its cursor; --once prints what it would show")
        }
        TopSignals.listen()
        var raw = before
        cfmakeraw(&raw)
        raw.c_oflag = before.c_oflag
        tcsetattr(Terminal.standardInput, TCSANOW, &raw)
        isTaken = true
        // The screen of its own, no cursor, no wrapping at the edge.
        write("\u{1B}[?1049h\u{1B}[?25l\u{1B}[?7l\u{1B}[2J")
    }

    deinit { restore() }

    /// Gives the terminal back as it was.
    func restore() {
        guard isTaken else { return }
        isTaken = false
        write("\u{1B}[0m\u{1B}[?7h\u{1B}[?25h\u{1B}[?1049l")
        tcsetattr(Terminal.standardInput, TCSADRAIN, &before)
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
    func keys(withinMilliseconds milliseconds: Int) -> [TopKey] {
        var entry = pollfd(fd: Terminal.standardInput, events: CShort(POLLIN), revents: 0)
        guard poll(&entry, 1, CInt(clamping: milliseconds)) > 0 else { return [] }
        var bytes = [UInt8](repeating: 0, count: 256)
        let count = bytes.withUnsafeMutableBytes { read(Terminal.standardInput, $0.baseAddress, $0.count) }
        if count == 0 || count < 0 && errno != EINTR && errno != EAGAIN { return [.interrupt] }
        return TopKey.decode(Array(bytes.prefix(max(0, count))))
    }

    private func write(_ text: String) { Terminal.write(text.utf8, to: Terminal.standardOutput) }
}

/// The signals that end `top` or tell it of another size: they wake its wait, and it looks.
enum TopSignals {
    private static let endedBy = Atomic<CInt>(0)

    /// The signal that came to end the process; 0 while none has.
    static var ending: CInt { endedBy.load(ordering: .relaxed) }

    /// Takes SIGINT, SIGTERM and SIGHUP as wishes to end in good order, and notices SIGWINCH.
    static func listen() {
        _ = ending  // so that the handler finds it made
        SignalHandler.install(noticed, for: [SIGINT, SIGTERM, SIGHUP, SIGWINCH])
    }

    /// Ends the process as the signal would have.
    static func end() {
        signal(ending, SIG_DFL)
        raise(ending)
    }

    fileprivate static func note(_ number: CInt) {
        if number != SIGWINCH { endedBy.store(number, ordering: .relaxed) }
    }
}

private func noticed(_ number: CInt) { TopSignals.note(number) }
