// The only thread that changes the database. It takes whatever has gathered while it was committing, commits
// it, reports to the core, and so on: that is the whole group commit, with no timer. A batch that fails is
// kept and tried again, never dropped, because the core is ahead of the store and can't go back.

import LeveretCore
import Logging

/// Commits what the core gathers.
struct Writer {
    private enum Step {
        case write(WriteBatch)
        case doze
        case sleep
        case end
    }

    /// How long removals that nobody waits for may wait for company.
    private static let dozeMilliseconds = 5
    /// After this long with nothing to write, the file is tidied.
    private static let idleMilliseconds = 200
    /// Between two steps of tidying.
    private static let stepMilliseconds = 10
    /// How often the store is looked after while something is wrong with it.
    private static let careMilliseconds = 500
    /// How often a batch was refused before a shutdown gives it up.
    private static let farewellAttempts = 10

    let engine: Engine
    let retryMilliseconds: @Sendable (Int) -> Int

    private var complaint = Complaint()
    /// The core refuses publishes because of the store.
    private var isAlarmed: Bool
    /// What the core was told last.
    private var warnings: [String] = []
    /// How long to wait for work before the next step of tidying; `nil` when all is tidy.
    private var tidyAfterMilliseconds: Int?

    init(engine: Engine, retryMilliseconds: @escaping @Sendable (Int) -> Int) {
        self.engine = engine
        self.retryMilliseconds = retryMilliseconds
        isAlarmed = engine.store.shortage != nil
    }

    /// The thread's whole life: until shutdown, and all is committed.
    /// - Returns: what could not be committed before the end, `nil` if all was.
    mutating func run() -> StoreFailure? {
        var hasDozed = false
        while true {
            switch nextStep(hasDozed: hasDozed) {
            case .write(let batch):
                hasDozed = false
                tidyAfterMilliseconds = Self.idleMilliseconds
                if let failure = write(batch) { return failure }
            case .doze:
                engine.writerSignal.wait(milliseconds: Self.dozeMilliseconds)
                hasDozed = true
            case .sleep:
                hasDozed = false
                sleep()
            case .end:
                return nil
            }
        }
    }

    private func nextStep(hasDozed: Bool) -> Step {
        engine.enter { state, now in
            state.writerRest = .awake
            let wish = state.core.commitWish
            let isDue = wish == .now || (wish == .lazy && (hasDozed || state.isStopping))
            if isDue, let batch = state.core.takeBatch(now: now) { return .write(batch) }
            if state.isStopping, state.core.isAwaitingBodies {
                state.writerRest = .dozing
                return .doze
            }
            if state.isStopping { return .end }
            // A removal that nobody waits for leaves the writer 5 ms for more.
            if wish == .lazy, !hasDozed {
                state.writerRest = .dozing
                return .doze
            }
            state.writerRest = .asleep
            return .sleep
        }
    }

    /// Commits `batch`, however long that takes. Returns the failure that a shutdown gave up on.
    private mutating func write(_ batch: WriteBatch) -> StoreFailure? {
        var attempt = 0
        while true {
            do {
                // What was purged since may be what makes room for this batch.
                let waiting =
                    attempt == 0 ? WriteBatch() : engine.enter { state, _ in state.core.gatheredRemovals }
                let start: ContinuousClock.Instant? = engine.metrics == nil ? nil : .now
                let unfinished = try engine.store.apply(batch, waiting: waiting)
                if let start { engine.metrics?.committed(in: start.duration(to: .now)) }
                report(batch.number, unfinished: unfinished)
                return nil
            } catch {
                attempt += 1
                if failed(error, attempt: attempt), attempt >= Self.farewellAttempts { return error }
                engine.writerSignal.wait(milliseconds: retryMilliseconds(attempt))
            }
        }
    }

    private mutating func report(_ number: BatchNumber, unfinished: [RangeRemoval]) {
        lookAfterStore()
        engine.enter { state, now in
            state.core.committed(number, unfinished: unfinished, now: now)
            state.committed(through: number)
        }
    }

    /// Raises or clears alarms as the store now is: short of room or not, and what else is to be looked at.
    private mutating func lookAfterStore() {
        let shortage = engine.store.shortage
        if isAlarmed || shortage != nil {
            if let shortage { complaint.say(shortage.text, to: engine.logger) }
            engine.enter { state, now in state.core.setAlarm(shortage?.text, now: now) }
            if shortage == nil { engine.logger.notice("the database takes writes again") }
            isAlarmed = shortage != nil
        }
        let found = engine.store.warnings.texts
        guard found != warnings else { return }
        for text in found where !warnings.contains(text) { engine.logger.warning("\(text)") }
        warnings = found
        engine.enter { state, _ in state.core.setWarnings(found) }
    }

    /// Raises the alarm and says so. Returns whether the broker is shutting down.
    private mutating func failed(_ failure: StoreFailure, attempt: Int) -> Bool {
        // Another process may hold the file's lock for a moment: that alone refuses nobody.
        let isAlarming = failure.kind != .busy || attempt > 5
        if isAlarming {
            complaint.say(failure.text, to: engine.logger)
            isAlarmed = true
        }
        return engine.enter { state, now in
            if isAlarming { state.core.setAlarm(failure.text, now: now) }
            return state.isStopping
        }
    }

    /// Waits for work; when none comes, tidies the file step by step, then waits on.
    private mutating func sleep() {
        lookAfterStore()
        engine.store.prepareLog()
        let needsCare = isAlarmed || !warnings.isEmpty
        guard let milliseconds = tidyAfterMilliseconds ?? (needsCare ? Self.careMilliseconds : nil) else {
            return engine.writerSignal.wait()
        }
        if engine.writerSignal.wait(milliseconds: milliseconds) { return }
        do {
            tidyAfterMilliseconds = try engine.store.maintain() ? Self.stepMilliseconds : nil
        } catch {
            tidyAfterMilliseconds = nil  // until the next write
            complaint.say(error.text, to: engine.logger)
        }
        lookAfterStore()
    }
}
