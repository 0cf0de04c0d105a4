// The thread that keeps the core's appointments and goes on with its long work (purges, mass expiry), one
// slice at a time with the lock free in between, so that no caller has to. Where there is a metrics backend, it tells
// that how the broker is.

import LeveretCore

/// Wakes the core at its time and gives it time for what is long.
struct Timekeeper {
    private enum Step {
        case again
        case sleep(until: Instant, now: Instant)
        case end
    }

    private let engine: Engine
    private var report: MetricsReport?

    init(engine: Engine) {
        self.engine = engine
        report = MetricsReport(of: engine)
    }

    /// The thread's whole life.
    mutating func run() {
        while true {
            report?.reportIfDue()
            switch step() {
            case .again: continue
            case .sleep(let until, let now): sleep(until: until, now: now)
            case .end:
                report?.reportIfDue(isLast: true)
                return
            }
        }
    }

    private func step() -> Step {
        let nextReport = report?.next ?? .distantFuture
        return engine.enter { state, now in
            state.timekeeperSleepsUntil = nil
            if state.isStopping { return .end }
            if state.core.nextWake <= now { state.core.timeReached(now: now) }
            if state.hasLongWork { state.core.continueWork(now: now) }
            if state.hasLongWork || state.core.nextWake <= now { return .again }
            let until = min(state.core.nextWake, nextReport)
            state.timekeeperSleepsUntil = until
            return .sleep(until: until, now: now)
        }
    }

    /// Sleeps until the engine signals an earlier appointment, or it is time.
    private func sleep(until: Instant, now: Instant) {
        if until == .distantFuture {
            engine.timekeeperSignal.wait()
        } else {
            let milliseconds = Int(min(until.milliseconds - now.milliseconds, 3_600_000))
            engine.timekeeperSignal.wait(
                milliseconds: min(milliseconds, engine.clock.pollMilliseconds ?? .max))
        }
    }
}
