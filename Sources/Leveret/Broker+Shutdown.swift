// The end of a broker, in order: consumers hear of it, what they hold goes back, everything that was accepted
// is committed, the file is closed, whoever still waits for an answer gets one.

import LeveretCore
import Logging
public import ServiceLifecycle
import Synchronization

extension Broker: Service {
    /// Tells every session that the broker is about to end: nothing more is delivered, and publishes and new
    /// consumers are refused. The first step of `shutdown()`; a server calls it earlier, to let its clients
    /// go first.
    public func beginDraining() { engine.beginDraining() }

    /// Ends the broker: sequences of consumers end, what is held and not settled goes back to its place
    /// free of charge, everything accepted is committed, and the file is closed. A second call waits for the
    /// same end. Cancelling the task does not cut it short.
    ///
    /// Settle what you hold first (cancel consumers, await their tasks), or it is delivered again next time.
    ///
    /// - Throws: a `BrokerError` when the last changes could not be committed (a full disk): they were never
    ///   confirmed to anyone.
    public func shutdown() async throws {
        engine.stop()
        let failure = await withCheckedContinuation { continuation in
            let isOver = engine.ending.withLock { ending -> StoreFailure?? in
                switch ending {
                case .awaited(let waiting):
                    ending = .awaited(waiting + [continuation])
                    return .none
                case .over(let failure): return .some(failure)
                }
            }
            if let failure = isOver { continuation.resume(returning: failure) }
        }
        if let failure {
            throw BrokerError(
                .internalError,
                "the last changes could not be stored: \(failure.text); make room or give access, and publish again"
            )
        }
    }

    /// Runs until the service group it belongs to shuts down gracefully (or its task is cancelled), then ends
    /// the broker.
    public func run() async throws {
        // A cancelled wait is a reason to end as well: both ways lead to the shutdown.
        try? await gracefulShutdown()
        try await shutdown()
    }
}

/// Who waits for the broker to end, or how it ended.
enum Ending: Sendable {
    case awaited([CheckedContinuation<StoreFailure?, Never>])
    case over(StoreFailure?)

    init() { self = .awaited([]) }
}

extension Engine {
    /// Tells the sessions that the end is near.
    func beginDraining() {
        enter { state, now in
            guard !state.isDraining else { return }
            state.isDraining = true
            state.core.beginDraining(now: now)
        }
    }

    /// Lets the threads end, the writer once all is committed. Returns at once.
    func stop() {
        beginDraining()
        let isReading = enter { state, now in
            guard !state.isStopping else { return state.core.isAwaitingBodies }
            for session in state.outlets.keys.sorted() {
                state.core.submit(WaiterTable.nobody, .rollBack, from: session, now: now)
                state.core.submit(WaiterTable.nobody, .recover, from: session, now: now)
            }
            state.isStopping = true
            return state.core.isAwaitingBodies
        }
        // What the last batch waits for is still read.
        if !isReading { reader.stop() }
        searcher.stop()
        timekeeperSignal.raise()
        writerSignal.raise()
    }

    /// The writer's last act: closes the store, and tells everyone who waits.
    func ended(with failure: StoreFailure?) {
        reader.stop()
        reader.waitForEnd()
        searcher.waitForEnd()
        store.close()
        let outlets = enter { state, _ in
            state.isClosed = true
            // Who waits for room is to hear that there is no more to wait for.
            for outlet in state.outlets.values { outlet.isPaused.store(false, ordering: .releasing) }
            return Array(state.outlets.values)
        }
        for outlet in outlets { outlet.wake() }
        tellListeners()
        let listeners = enter { state, _ in
            defer { state.listeners = [:] }
            return Array(state.listeners.values)
        }
        for listener in listeners { listener.finish() }
        let waiting = ending.withLock { ending -> [CheckedContinuation<StoreFailure?, Never>] in
            guard case .awaited(let waiting) = ending else { return [] }
            ending = .over(failure)
            return waiting
        }
        for continuation in waiting { continuation.resume(returning: failure) }
        logger.info("broker closed")
    }
}
