// The thread that fetches stored messages when a queue's window runs low. The engine hands it a read once the
// batch that the read must see is committed; the answer goes back to the core.

import LeveretCore
import Logging
import Synchronization

/// Reads from the store for the core, one request after the other.
final class Reader: Sendable {
    private struct Inbox {
        var requests: [LoadRequest] = []
        var isStopping = false
        var isIdle = false
    }

    /// Between two attempts at a read that fails.
    private static let retryMilliseconds = 100

    private let store: Store
    private let logger: Logger
    private let signal = Signal()
    private let ended = Signal()
    private let inbox = Mutex(Inbox())  // guards what is asked and not yet read

    init(store: Store, logger: Logger) {
        self.store = store
        self.logger = logger
    }

    /// Asks for reads. Never waits.
    func request(_ requests: [LoadRequest]) {
        let wasIdle = inbox.withLock { inbox in
            inbox.requests += requests
            defer { inbox.isIdle = false }
            return inbox.isIdle
        }
        if wasIdle { signal.raise() }
    }

    /// Ends the thread after the read it is at.
    func stop() {
        inbox.withLock { $0.isStopping = true }
        signal.raise()
    }

    /// Stands in for the end of a thread that could not be started.
    func neverRuns() { ended.raise() }

    /// Returns once the thread is done with the store. Only the writer calls it, once.
    func waitForEnd() { ended.wait() }

    /// The thread's whole life.
    func run(for engine: Engine) {
        defer { ended.raise() }
        var complaint = Complaint()
        var failed: [LoadRequest] = []
        while let requests = nextRequests(after: failed) {
            let hadFailed = !failed.isEmpty
            failed = []
            for request in requests {
                do {
                    let result = try store.load(request)
                    engine.enter { state, now in state.core.loaded(result, now: now) }
                } catch {
                    // The core waits for an answer, so it is tried again; other queues needn't wait for that.
                    complaint.say(error.text, to: logger)
                    failed.append(request)
                    engine.enter { state, _ in state.core.loadFailed(request) }
                }
            }
            guard hadFailed != !failed.isEmpty else { continue }
            if hadFailed { store.warnings.clear(.unreadable) } else { store.warnings.set(.unreadable) }
            engine.writerSignal.raise()  // the writer tells the core
        }
    }

    /// What has gathered and what has failed; waits for the first, and a while with the second. `nil` once
    /// stopped.
    private func nextRequests(after failed: [LoadRequest]) -> [LoadRequest]? {
        var hasWaited = failed.isEmpty
        while true {
            let (requests, isStopping) = inbox.withLock { inbox in
                defer { inbox.requests = [] }
                inbox.isIdle = inbox.requests.isEmpty
                return (inbox.requests, inbox.isStopping)
            }
            if isStopping { return nil }
            if !requests.isEmpty || (!failed.isEmpty && hasWaited) { return requests + failed }
            if failed.isEmpty { signal.wait() } else { signal.wait(milliseconds: Self.retryMilliseconds) }
            hasWaited = true
        }
    }
}
