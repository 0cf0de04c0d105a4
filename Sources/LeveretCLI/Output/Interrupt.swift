// Ctrl-C and SIGTERM, for a command that stops where it is and says how far it got.

import Synchronization

#if canImport(Darwin)
import Darwin
#else
import Glibc
#endif

/// SIGINT and SIGTERM, once a command listens for them.
enum Interrupt {
    private static let came = Atomic<CInt>(0)

    /// True when one has come: the command should end in good order.
    static var hasCome: Bool { came.load(ordering: .relaxed) != 0 }

    /// Takes the first of each as a wish to end in good order; a second one ends the process at once. A read that
    /// waits is woken.
    static func listen() {
        _ = hasCome  // so that the handler finds it made
        SignalHandler.install(
            interrupted, for: [SIGINT, SIGTERM], flags: CInt(bitPattern: UInt32(SA_RESETHAND)))
    }

    /// Waits so long, or until it comes.
    static func wait(seconds: Double) {
        let end = ContinuousClock.now.advanced(by: .seconds(seconds))
        while !hasCome {
            let left = ContinuousClock.now.duration(to: end).components
            let milliseconds = left.seconds * 1000 + left.attoseconds / 1_000_000_000_000_000
            if left.seconds < 0 || milliseconds <= 0 { return }
            // In short pieces: the signal may have come just before.
            poll(nil, 0, CInt(min(milliseconds, 100)))
        }
    }

    /// Ends the process as the signal would have, so that a shell's loop ends too.
    static func end() {
        FileServer.stop()
        let number = hasCome ? came.load(ordering: .relaxed) : SIGINT
        _ = signal(number, SIG_DFL)
        raise(number)
    }

    fileprivate static func note(_ number: CInt) { came.store(number, ordering: .relaxed) }
}

private func interrupted(_ number: CInt) { Interrupt.note(number) }
