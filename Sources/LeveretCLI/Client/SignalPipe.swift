// Signals for a command that waits on several descriptors at once: each signal makes one of them readable. Commands
// that only stop at Ctrl-C use Interrupt instead.

import Synchronization

#if canImport(Darwin)
import Darwin
#else
import Glibc
#endif

/// SIGINT, SIGTERM, SIGHUP and SIGCHLD as bytes in a pipe.
enum SignalPipe {
    private static let writeEnd = Atomic<CInt>(-1)
    private static let endings = Atomic<Int>(0)
    private static let lastEnding = Atomic<CInt>(0)

    /// How often the command was asked to end, by SIGINT, SIGTERM or SIGHUP.
    static var endingsAsked: Int { endings.load(ordering: .relaxed) }

    /// True where Ctrl-C was the last to ask.
    static var isInterrupted: Bool { lastEnding.load(ordering: .relaxed) == SIGINT }

    /// Begins to listen, and returns the descriptor that becomes readable. A SIGHUP that is ignored, as under `nohup`,
    /// stays so.
    ///
    /// - Parameter secondEnds: the second of a kind ends the process, as without us: for commands that print, whose
    ///   output may be stuck.
    static func open(secondEnds: Bool = false) throws(Failure) -> CInt {
        let (reading, writing) = try Pipe.make()
        _ = fcntl(writing, F_SETFL, fcntl(writing, F_GETFL) | O_NONBLOCK)
        writeEnd.store(writing, ordering: .relaxed)
        _ = (endingsAsked, isInterrupted)  // so that the handler finds them made
        let hangup = SignalHandler.isIgnored(SIGHUP) ? [] : [SIGHUP]
        let once = secondEnds ? CInt(bitPattern: UInt32(SA_RESETHAND)) : 0
        SignalHandler.install(
            cameIn, for: [SIGINT, SIGTERM] + hangup, flags: CInt(SA_RESTART) | once)
        SignalHandler.install(cameIn, for: [SIGCHLD], flags: CInt(SA_RESTART))
        return reading
    }

    /// Waits until a signal comes, one of these descriptors can be read, or so many milliseconds are over.
    static func wait(_ signals: CInt, or descriptors: [CInt], milliseconds: CInt = -1) {
        var entries = ([signals] + descriptors).map { pollfd(fd: $0, events: CShort(POLLIN), revents: 0) }
        poll(&entries, nfds_t(entries.count), milliseconds)
        _ = Pipe.take(from: signals)
    }

    /// Ends the process as the signal that asked would have; another that was obeyed is no failure.
    static func endAsAsked() { if isInterrupted { Interrupt.end() } }

    fileprivate static func note(_ number: CInt) {
        let error = errno
        if number != SIGCHLD {
            endings.add(1, ordering: .relaxed)
            lastEnding.store(number, ordering: .relaxed)
        }
        var byte: UInt8 = 0
        _ = write(writeEnd.load(ordering: .relaxed), &byte, 1)
        errno = error
    }
}

private func cameIn(_ number: CInt) { SignalPipe.note(number) }

/// Pipes of which no other program has an end, and whose reading end never blocks.
enum Pipe {
    /// A new one.
    static func make() throws(Failure) -> (reading: CInt, writing: CInt) {
        var ends: [CInt] = [-1, -1]
        guard pipe(&ends) == 0 else {
            throw Failure(.refused, "a pipe can't be made: \(LineClient.reason(errno)); see 'ulimit -n'")
        }
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        _ = fcntl(ends[0], F_SETFL, fcntl(ends[0], F_GETFL) | O_NONBLOCK)
        return (ends[0], ends[1])
    }

    /// Takes what has come, at most 64 KiB; empty where nothing has, `nil` where nothing more will.
    static func take(from descriptor: CInt) -> [UInt8]? {
        var isAtEnd = false
        let bytes = [UInt8](unsafeUninitializedCapacity: 64 << 10) { buffer, count in
            let got = read(descriptor, buffer.baseAddress, buffer.count)
            isAtEnd = got == 0
            count = max(0, got)
        }
        return isAtEnd ? nil : bytes
    }
}
