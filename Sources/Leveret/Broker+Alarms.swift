// What a server in front of the broker finds out about the machine, and what it tells the broker of it.

package import LeveretCore

extension Broker {
    /// Bytes that are free on the disk of the database; `nil` when nobody knows.
    package var diskFreeBytes: Int? { engine.store.diskFreeBytes() }

    /// Resident memory of this process in bytes; 0 when nobody knows.
    package var residentBytes: Int { residentMemoryBytes() }

    /// Raises the alarm of this cause with a sentence that says what to do, or with `nil` clears it. While one of the
    /// causes that publishes make worse holds, publishes are refused with the sentence (506), and nothing else is.
    package func setAlarm(_ text: String?, cause: AlarmCause) {
        engine.enter { state, now in state.core.setAlarm(text, cause: cause, now: now) }
    }
}
