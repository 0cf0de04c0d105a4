// The thread that searches: one search after the other, sessions taking turns, so that neither the writer nor what
// reads windows waits for somebody's query. The engine hands it a search once the batch that it must see is committed.

import LeveretCore
import Synchronization

/// Carries searches out and tells the core what they found.
final class Searcher: Sendable {
    private let store: Store
    private let limits: CoreLimits
    private let signal = Signal()
    private let ended = Signal()
    private let isStopping = Atomic(false)
    /// The number of the search under way; 0 between searches.
    let running = Atomic<UInt64>(0)
    /// The number of a search that nobody waits for any more.
    private let unwanted = Atomic<UInt64>(0)
    private let turns = Mutex(SearchTurns())  // guards what is asked and not yet begun

    init(store: Store, limits: CoreLimits) {
        self.store = store
        self.limits = limits
    }

    /// Asks for searches. Never waits.
    func request(_ searches: [Search]) {
        let wasIdle = turns.withLock { turns in
            for search in searches { turns.add(search) }
            defer { turns.isIdle = false }
            return turns.isIdle
        }
        if wasIdle { signal.raise() }
    }

    /// Ends the thread, and the search it is at.
    func stop() {
        isStopping.store(true, ordering: .releasing)
        signal.raise()
    }

    /// A session has closed: ends the search under way if it was for that one.
    func sessionClosed(_ engine: Engine) {
        let number = running.load(ordering: .sequentiallyConsistent)
        guard number != 0, !engine.enter({ state, _ in state.core.awaits(search: number) }) else { return }
        unwanted.store(number, ordering: .relaxed)
    }

    /// Stands in for the end of a thread that could not be started.
    func neverRuns() { ended.raise() }

    /// Returns once the thread is done with the store. Only the writer calls it, once.
    func waitForEnd() { ended.wait() }

    /// The thread's whole life.
    func run(for engine: Engine) {
        defer { ended.raise() }
        while let search = nextSearch() {
            // Before the core is asked: whoever goes later than that sees it under way.
            running.store(search.number, ordering: .sequentiallyConsistent)
            defer { running.store(0, ordering: .relaxed) }
            let result = Result { () throws(BrokerError) in
                guard engine.enter({ state, _ in state.core.awaits(search: search.number) }) else {
                    throw BrokerError(.connectionForced, "who asked has gone")
                }
                let bounds = SearchBounds(limits) { [self] in
                    isStopping.load(ordering: .relaxed) || unwanted.load(ordering: .relaxed) == search.number
                }
                return try store.search(bounds).answer(search)
            }
            engine.enter { state, now in state.core.searched(search.number, result, now: now) }
        }
    }

    /// The next search, once there is one; `nil` once stopped.
    private func nextSearch() -> Search? {
        while !isStopping.load(ordering: .acquiring) {
            let search = turns.withLock { turns in
                let search = turns.next()
                turns.isIdle = search == nil
                return search
            }
            if let search { return search }
            signal.wait()
        }
        return nil
    }
}

/// Searches that wait, one session's after the other's.
struct SearchTurns {
    /// What each session waits for.
    private var searches: [SessionID: [Search]] = [:]
    /// The sessions that wait, in the order of their turns.
    private var sessions: [SessionID] = []
    /// Nobody has been told of what comes next.
    var isIdle = false

    mutating func add(_ search: Search) {
        if searches[search.session] == nil { sessions.append(search.session) }
        searches[search.session, default: []].append(search)
    }

    /// The first search of the session that is next.
    mutating func next() -> Search? {
        guard !sessions.isEmpty else { return nil }
        let session = sessions.removeFirst()
        guard var own = searches.removeValue(forKey: session), !own.isEmpty else { return nil }
        let search = own.removeFirst()
        if !own.isEmpty {
            searches[session] = own
            sessions.append(session)
        }
        return search
    }
}
