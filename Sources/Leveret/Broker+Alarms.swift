// What a server in front of the broker finds out about the machine, and what it tells the broker of it.

package import LeveretCore

extension Broker {
    /// Bytes that are free on the disk of the database; `nil` when nobody knows.
    package var diskFreeBytes: Int? { engine.store.diskFreeBytes() }

    /// Resident memory of this process in bytes; 0 when nobody knows.
    package var residentBytes: Int { residentMemoryBytes() }

    /// Makes resident memory as small as what is in use. It takes time, and holds other threads up: not for an event
    /// loop.
    package func giveBackMemory() { giveBackFreedMemory() }

    /// Tells the broker what the server in front keeps to, each limit by its name, for its status.
    package func setServerLimits(_ limits: FieldTable) {
        engine.enter { state, _ in state.core.facts.limits = limits }
    }

    /// Tells the broker that the program has changed by itself how much it logs, for its status.
    package func logLevelChanged(to level: LogLevel) {
        engine.enter { state, _ in state.core.facts.logLevel = level }
    }

    /// Raises the alarm of this cause with a sentence that says what to do, or with `nil` clears it. While one of the
    /// causes that publishes make worse holds, publishes are refused with the sentence (506), and nothing else is.
    package func setAlarm(_ text: String?, cause: AlarmCause) {
        engine.enter { state, now in state.core.setAlarm(text, cause: cause, now: now) }
    }
}
