// The terminal key by key, for what draws on it itself: `top`, and the prompt of `shell`. It is given back as it was,
// however they end.

import Synchronization

#if canImport(Darwin)
import Darwin
#else
import Glibc
#endif

/// The terminal of standard input and output, which hands over each key as it is pressed while it is taken.
final class RawTerminal {
    private var before = termios()
    private var isTaken = false

    /// `nil` where there is no terminal, or one that can't move its cursor.
    init?() {
        guard Terminal.isTerminal(Terminal.standardInput), Terminal.isTerminal(Terminal.standardOutput),
            Terminal.environment("TERM") != "dumb", tcgetattr(Terminal.standardInput, &before) == 0
        else { return nil }
    }

    deinit { restore() }

    /// From here on keys come one by one, and none of them is a signal. What is written is treated as before.
    func take() {
        guard !isTaken else { return }
        isTaken = true
        var raw = before
        cfmakeraw(&raw)
        raw.c_oflag = before.c_oflag
        tcsetattr(Terminal.standardInput, TCSANOW, &raw)
    }

    /// Gives the terminal back as it was.
    func restore() {
        guard isTaken else { return }
        isTaken = false
        tcsetattr(Terminal.standardInput, TCSADRAIN, &before)
    }

    /// The keys that were pressed within so many milliseconds, without end with -1; a signal ends the wait.
    func keys(withinMilliseconds milliseconds: Int) -> [TerminalKey] {
        var entry = pollfd(fd: Terminal.standardInput, events: CShort(POLLIN), revents: 0)
        guard poll(&entry, 1, CInt(clamping: milliseconds)) > 0 else { return [] }
        var bytes = [UInt8](repeating: 0, count: 4096)
        let count = bytes.withUnsafeMutableBytes { read(Terminal.standardInput, $0.baseAddress, $0.count) }
        if count == 0 || count < 0 && errno != EINTR && errno != EAGAIN { return [.gone] }
        return TerminalKey.decode(Array(bytes.prefix(max(0, count))))
    }
}

/// The signals that end what has the terminal, or tell it of another size: they wake its wait, and it looks.
enum TerminalSignals {
    private static let endedBy = Atomic<CInt>(0)
    private static let stopCame = Atomic<Bool>(false)

    /// The signal that came to end the process; 0 while none has.
    static var ending: CInt { endedBy.load(ordering: .relaxed) }

    /// Takes SIGINT, SIGTERM, SIGHUP and SIGQUIT as wishes to end in good order, and notices SIGWINCH. With `stops`,
    /// SIGTSTP is a wish to be stopped for a while; whoever starts other programs leaves it to the system.
    static func listen(stops: Bool = false) {
        _ = (ending, isStopAsked)  // so that the handler finds them made
        let stop = stops ? [SIGTSTP] : []
        SignalHandler.install(noticed, for: [SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGWINCH] + stop)
    }

    /// True where somebody wants the process to stop for a while: `stop` does it.
    static var isStopAsked: Bool { stopCame.load(ordering: .relaxed) }

    /// Stops the process until it is told to go on. The terminal has been given back.
    static func stop() {
        stopCame.store(false, ordering: .relaxed)
        raise(SIGSTOP)
    }

    /// Leaves the signals to the system again, and ends the process where one has come that would have.
    static func finish() {
        for number in [SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGWINCH] { _ = signal(number, SIG_DFL) }
        if ending != 0 { raise(ending) }
    }

    /// Ends the process as the signal would have.
    static func end() {
        signal(ending, SIG_DFL)
        raise(ending)
    }

    fileprivate static func note(_ number: CInt) {
        switch number {
        case SIGWINCH: break
        case SIGTSTP: stopCame.store(true, ordering: .relaxed)
        default: endedBy.store(number, ordering: .relaxed)
        }
    }
}

private func noticed(_ number: CInt) { TerminalSignals.note(number) }
