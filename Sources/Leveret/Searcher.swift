// The thread that searches: one search after the other, sessions taking turns, so that neither the writer nor what
// reads windows waits for somebody's query. The engine hands it a search once the batch that it must see is committed.

import LeveretCore
import Synchronization

/// Carries searches out and tells the core what they found.
final class Searcher: Sendable {
    private struct Inbox {
        var searches: [Search] = []
        /// Whose turn it was last.
        var last: SessionID?
        var isIdle = false

        /// The first search of the session that is next.
        mutating func next() -> Search? {
            let index = searches.firstIndex { $0.session != last } ?? searches.indices.first
            guard let index else { return nil }
            last = searches[index].session
            return searches.remove(at: index)
        }
    }

    private let store: Store
    private let limits: CoreLimits
    private let signal = Signal()
    private let ended = Signal()
    private let isStopping = Atomic(false)
    private let inbox = Mutex(Inbox())  // guards what is asked and not yet begun

    init(store: Store, limits: CoreLimits) {
        self.store = store
        self.limits = limits
    }

    /// Asks for searches. Never waits.
    func request(_ searches: [Search]) {
        let wasIdle = inbox.withLock { inbox in
            inbox.searches += searches
            defer { inbox.isIdle = false }
            return inbox.isIdle
        }
        if wasIdle { signal.raise() }
    }

    /// Ends the thread, and the search it is at.
    func stop() {
        isStopping.store(true, ordering: .releasing)
        signal.raise()
    }

    /// Stands in for the end of a thread that could not be started.
    func neverRuns() { ended.raise() }

    /// Returns once the thread is done with the store. Only the writer calls it, once.
    func waitForEnd() { ended.wait() }

    /// The thread's whole life.
    func run(for engine: Engine) {
        defer { ended.raise() }
        while let search = nextSearch() {
            let result = Result { () throws(BrokerError) in
                let bounds = SearchBounds(limits) { [self] in isStopping.load(ordering: .relaxed) }
                return try store.search(bounds).answer(search)
            }
            engine.enter { state, now in state.core.searched(search.number, result, now: now) }
        }
    }

    /// The next search, once there is one; `nil` once stopped.
    private func nextSearch() -> Search? {
        while !isStopping.load(ordering: .acquiring) {
            let search = inbox.withLock { inbox in
                let search = inbox.next()
                inbox.isIdle = search == nil
                return search
            }
            if let search { return search }
            signal.wait()
        }
        return nil
    }
}
