// Asks a person for a password: on the terminal, without showing what is typed.

#if canImport(Darwin)
import Darwin
#else
import Glibc
#endif

/// Questions whose answers nobody else should see.
enum SecretPrompt {
    private static let bytesMax = 1024

    /// Asks on the terminal of standard input; `nil` where there is none.
    ///
    /// - Throws: `Failure` for an empty answer, and for Ctrl-C and Ctrl-D.
    static func ask(_ question: String) throws(Failure) -> [UInt8]? {
        guard Terminal.isTerminal(Terminal.standardInput), Terminal.isTerminal(Terminal.standardError) else {
            return nil
        }
        var before = termios()
        guard tcgetattr(Terminal.standardInput, &before) == 0 else { return nil }
        var quiet = before
        // Key by key, so that the terminal is given back whichever ends it, and before a signal does.
        TerminalSignals.listen()
        quiet.c_lflag &= ~tcflag_t(ECHO | ICANON | ISIG)
        tcsetattr(Terminal.standardInput, TCSAFLUSH, &quiet)
        defer {
            tcsetattr(Terminal.standardInput, TCSAFLUSH, &before)
            Terminal.write("\n".utf8, to: Terminal.standardError)
            TerminalSignals.finish()
        }
        Terminal.write(question.utf8, to: Terminal.standardError)
        return try readLine()
    }

    /// What is typed, up to the end of the line.
    private static func readLine() throws(Failure) -> [UInt8] {
        var typed: [UInt8] = []
        while true {
            var key: UInt8 = 0
            // In short pieces: a signal may have come just before.
            while TerminalSignals.ending == 0, !Input.isReady(Terminal.standardInput, milliseconds: 100) {}
            let count = TerminalSignals.ending == 0 ? read(Terminal.standardInput, &key, 1) : 0
            guard count == 1, key != 0x03, key != 0x04 else {
                throw Failure(.refused, "not done: no password was given")
            }
            switch key {
            case 0x0A, 0x0D:
                guard !typed.isEmpty else { throw Failure(.refused, "not done: the password was empty") }
                return typed
            case 0x08, 0x7F:  // a whole character, whose bytes but the first are 10xxxxxx
                while let last = typed.popLast(), last & 0xC0 == 0x80 {}
            case 0x15: typed.removeAll()
            default: if typed.count < bytesMax { typed.append(key) }
            }
        }
    }

    /// The password of somebody, as it is claimed to be: asked for on a terminal, or the first line of standard input.
    ///
    /// - Throws: `Failure` where there is none.
    static func password(of user: String) throws(Failure) -> [UInt8] {
        if let password = try ask("Password of \(user.printable): ") { return password }
        return try firstLine(of: user, or: "or write it to standard input")
    }

    /// A password for somebody: from LEVERET_NEW_PASSWORD, asked for twice on a terminal, or the first line of standard
    /// input.
    ///
    /// - Throws: `Failure` where there is none, or two that differ.
    static func newPassword(of user: String) throws(Failure) -> [UInt8] {
        if let password = Terminal.environment("LEVERET_NEW_PASSWORD") { return Array(password.utf8) }
        if let first = try ask("New password of \(user.printable): ") {
            guard try ask("Once more: ") == first else {
                throw Failure(.refused, "not done: the two passwords differ")
            }
            return first
        }
        return try firstLine(of: user, or: "write it to standard input, or set LEVERET_NEW_PASSWORD")
    }

    /// The password that standard input begins with.
    private static func firstLine(of user: String, or otherWays: String) throws(Failure) -> [UInt8] {
        var input = InputLines(Terminal.standardInput)
        var line = Array(try input.next() ?? [])
        if line.last == 0x0D { line.removeLast() }
        guard !line.isEmpty else {
            throw Failure(
                .usage,
                "there is no password for user '\(user.printable)'; type it on a terminal, \(otherWays)")
        }
        return line
    }
}
