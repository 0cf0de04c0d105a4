// How handlers of signals are set. What a signal means to a command is in SignalPipe, Interrupt and TerminalSignals.

#if canImport(Darwin)
import Darwin
#else
import Glibc
#endif

/// Handlers of signals.
enum SignalHandler {
    /// Has `handler` called at each of these signals, from now on. Whoever started us may have them blocked: they
    /// are let through.
    static func install(
        _ handler: @escaping @convention(c) (CInt) -> Void, for numbers: [CInt], flags: CInt = 0
    ) {
        var signals = sigset_t()
        sigemptyset(&signals)
        for number in numbers {
            var action = sigaction()
            #if canImport(Darwin)
            action.__sigaction_u.__sa_handler = handler
            #else
            action.__sigaction_handler.sa_handler = handler
            #endif
            action.sa_flags = flags
            sigaction(number, &action, nil)
            sigaddset(&signals, number)
        }
        pthread_sigmask(SIG_UNBLOCK, &signals, nil)
    }

    /// True where whoever started us wants this signal ignored, as `nohup` does with SIGHUP.
    static func isIgnored(_ number: CInt) -> Bool {
        var action = sigaction()
        guard sigaction(number, nil, &action) == 0 else { return false }
        #if canImport(Darwin)
        let handler = action.__sigaction_u.__sa_handler
        #else
        let handler = action.__sigaction_handler.sa_handler
        #endif
        // A pointer to a function, or a small number instead of one.
        return unsafeBitCast(handler, to: Int.self) == unsafeBitCast(SIG_IGN, to: Int.self)
    }
}
