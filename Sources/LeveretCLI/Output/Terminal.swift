// What the process knows of its surroundings: which descriptors are terminals, how wide, the environment, and
// what a person answers. No command asks the system itself.

#if canImport(Darwin)
import Darwin
#else
import Glibc
#endif

/// The terminal, the environment and the wall clock.
enum Terminal {
    static let standardInput: CInt = 0
    static let standardOutput: CInt = 1
    static let standardError: CInt = 2

    /// True where a person is at the other end.
    static func isTerminal(_ descriptor: CInt) -> Bool { isatty(descriptor) == 1 }

    /// True where colour may be used: a terminal, no NO_COLOR (no-color.org), and not a dumb one.
    static func hasColour(_ descriptor: CInt) -> Bool {
        isTerminal(descriptor) && environment("NO_COLOR") == nil && environment("TERM") != "dumb"
    }

    /// Characters in a line of standard output, where that is a terminal.
    static var width: Int? { window.flatMap { $0.ws_col > 0 ? Int($0.ws_col) : nil } }

    /// Characters in a line of standard output and its lines, where that is a terminal that says so.
    static var size: (columns: Int, rows: Int)? {
        guard let window, window.ws_col > 0, window.ws_row > 0 else { return nil }
        return (Int(window.ws_col), Int(window.ws_row))
    }

    private static var window: winsize? {
        var size = winsize()
        return isTerminal(standardOutput) && ioctl(standardOutput, UInt(TIOCGWINSZ), &size) == 0 ? size : nil
    }

    /// Waits; a signal that comes meanwhile ends the wait.
    static func wait(milliseconds: Int) { poll(nil, 0, CInt(clamping: milliseconds)) }

    /// A variable of the environment; one that is empty counts as not set.
    static func environment(_ name: String) -> String? {
        guard let value = getenv(name), value.pointee != 0 else { return nil }
        return String(cString: value)
    }

    /// What a shell finds this program by: its name where that is in PATH, else the path that it was started with.
    static var programName: String {
        let path = (environment("PATH") ?? "").split(separator: ":").map { "\($0)/leveret" }
        let started = CommandLine.arguments.first ?? ""
        return started.contains("/") && !path.contains { access($0, X_OK) == 0 }
            ? started.shellWord : "leveret"
    }

    /// Milliseconds since 1970.
    static var now: Int64 {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000
    }

    /// Writes all of it, or as much as the other end takes; false when that has gone.
    @discardableResult
    static func write(_ bytes: some Collection<UInt8>, to descriptor: CInt) -> Bool {
        let bytes = Array(bytes)
        var written = 0
        while written < bytes.count {
            let count = bytes.withUnsafeBytes { buffer in
                systemWrite(descriptor, UnsafeRawBufferPointer(rebasing: buffer[written...]))
            }
            if count >= 0 {
                written += count
            } else if errno == EAGAIN {
                var entry = pollfd(fd: descriptor, events: CShort(POLLOUT), revents: 0)
                poll(&entry, 1, -1)
            } else if errno != EINTR {
                return false
            }
        }
        return true
    }

    /// Writes a line to standard error.
    static func complain(_ text: String) { write((text + "\n").utf8, to: standardError) }

    /// Lets a closed pipe end the process quietly, as a filter should, whatever was inherited.
    static func endQuietlyOnClosedPipe() { _ = signal(SIGPIPE, SIG_DFL) }

    /// Ends the process.
    static func exit(_ status: CommandStatus) -> Never { systemExit(status.rawValue) }

    /// Ends the process without a look back, while other threads go on.
    static func endAtOnce() -> Never { _exit(CommandStatus.refused.rawValue) }

    /// Asks before something is removed for good.
    ///
    /// - Parameters:
    ///   - what: What will happen, as a sentence: `purge 'jobs' removes 12 messages`.
    ///   - yes: The command line has answered already (`--yes`).
    ///   - reason: Why it asks, for where nobody can be asked.
    /// - Throws: `Failure` when nobody can be asked, or the answer is no.
    static func confirm(
        _ what: @autoclosure () throws(Failure) -> String, yes: Bool,
        because reason: String = "this removes for good"
    ) throws(Failure) {
        if yes { return }
        guard isTerminal(standardInput), isTerminal(standardError) else {
            throw Failure(.usage, "\(reason) and nobody is here to ask; say --yes to go ahead")
        }
        write("\(try what()). Go ahead? [y/N] ".utf8, to: standardError)
        let answer = readLine() ?? ""
        guard ["y", "yes"].contains(answer.lowercased()) else {
            throw Failure(.refused, "not done: the answer was no")
        }
    }

    private static func systemExit(_ code: CInt) -> Never {
        #if canImport(Darwin)
        Darwin.exit(code)
        #else
        Glibc.exit(code)
        #endif
    }

    private static func systemWrite(_ descriptor: CInt, _ bytes: UnsafeRawBufferPointer) -> Int {
        #if canImport(Darwin)
        Darwin.write(descriptor, bytes.baseAddress, bytes.count)
        #else
        Glibc.write(descriptor, bytes.baseAddress, bytes.count)
        #endif
    }
}

/// Standard output, gathered so that a row costs no system call.
final class Output {
    private let descriptor: CInt?
    private(set) var gathered: [UInt8] = []
    /// Nobody reads any more.
    private var isBroken = false

    /// Writes to a descriptor; `nil` keeps everything in `gathered`, for tests.
    init(_ descriptor: CInt?) { self.descriptor = descriptor }

    deinit { flush() }

    /// Adds text.
    func write(_ text: String) { write(bytes: text.utf8) }

    /// Adds bytes.
    func write(bytes: some Collection<UInt8>) {
        guard !isBroken else { return }
        gathered.append(contentsOf: bytes)
        if gathered.count >= 64 << 10 { flush() }
    }

    /// Hands over what has gathered; false when nobody reads any more. What can't be written otherwise, because the
    /// disk is full, ends the process with a word: all that follows would be missing, too.
    @discardableResult
    func flush() -> Bool {
        guard let descriptor, !gathered.isEmpty else { return !isBroken }
        defer { gathered.removeAll(keepingCapacity: true) }
        if Terminal.write(gathered, to: descriptor) { return true }
        guard errno != EPIPE else {
            isBroken = true
            return false
        }
        Terminal.complain(
            "leveret: the output can't be written, it is not whole: \(LineClient.reason(errno))")
        Terminal.exit(.refused)
    }
}
