// The lock around the core, and what must happen once it is let go. Sessions, the writer, the reader and the
// timekeeper enter here; nobody else touches the core. Nothing in here waits.

import CoreMetrics
import LeveretCore
import Logging
import Synchronization

/// A session as the engine knows it: how to wake it, and whether it is to pause.
final class Outlet: Sendable {
    /// Called outside all locks when events wait.
    let wake: @Sendable () -> Void
    /// The gathered batch is full: the session should not submit more publishes.
    let isPaused = Atomic(false)
    /// What its owner knows of the session.
    let notes = Mutex(SessionNotes())  // guards nothing else; taken within the engine's lock

    init(wake: @escaping @Sendable () -> Void) { self.wake = wake }
}

/// What a locked section brought about, to be performed after the lock is let go.
struct FollowUp: Sendable {
    var wakes: [Outlet] = []
    var loads: [LoadRequest] = []
    var searches: [Search] = []
    /// What is to be logged from here on, where that has changed.
    var logLevel: LogLevel?
    /// What closes the connections that an operator wants closed.
    var closings: [@Sendable () -> Void] = []
    var hasNews = false
    var wakesWriter = false
    var wakesTimekeeper = false
}

/// What must see a batch, and is asked of the store once that is committed.
protocol AskedAfterCommit {
    var barrier: BatchNumber { get }
}

extension LoadRequest: AskedAfterCommit {}
extension Search: AskedAfterCommit {}

/// Requests that wait for their batch, and those whose batch has just been committed.
struct HeldBack<Request: AskedAfterCommit> {
    private var waiting: [Request] = []
    private var ready: [Request] = []

    /// Lets those go that waited for batches up to `number`.
    mutating func committed(through number: BatchNumber) {
        guard !waiting.isEmpty else { return }
        ready += waiting.filter { $0.barrier <= number }
        waiting.removeAll { $0.barrier <= number }
    }

    /// Hands on those that need not wait any more, and of `requests` those that need not wait at all.
    mutating func pass(_ requests: [Request], committed: BatchNumber, to passed: inout [Request]) {
        guard !requests.isEmpty || !ready.isEmpty else { return }
        passed += ready
        ready.removeAll()
        for request in requests {
            if request.barrier <= committed { passed.append(request) } else { waiting.append(request) }
        }
    }
}

/// What the lock guards: the core, and what must be read and changed together with it.
struct EngineState: ~Copyable {
    /// Where the writer thread is.
    enum WriterRest { case awake, dozing, asleep }

    var core: BrokerCore
    var outlets: [SessionID: Outlet] = [:]
    /// How to have a connection closed; called outside all locks.
    var closers: [ConnectionID: @Sendable (_ reason: String) -> Void] = [:]
    var paused: [Outlet] = []
    var listeners: [UInt64: AsyncStream<BrokerEvent>.Continuation] = [:]
    var nextListener: UInt64 = 0
    /// What happened and has not been told to the listeners.
    var untold: [BrokerEvent] = []
    /// The last batch that the store has committed.
    var committed: BatchNumber = 0
    private var loads = HeldBack<LoadRequest>()
    private var searches = HeldBack<Search>()
    var writerRest = WriterRest.awake
    /// Until when the timekeeper sleeps; `nil` while it is awake.
    var timekeeperSleepsUntil: Instant?
    /// The sessions know that the end is near.
    var isDraining = false
    /// Shutdown has begun: the writer ends as soon as all is committed.
    var isStopping = false
    /// The writer has ended: nothing can be stored any more.
    var isClosed = false

    init(core: consuming BrokerCore) { self.core = core }

    /// Gathers what the core wants done, at the end of every locked section.
    mutating func collect(into followUp: inout FollowUp) {
        let outputs = core.takeOutputs()
        for id in outputs.wakes {
            if let outlet = outlets[id] { followUp.wakes.append(outlet) }
        }
        for closing in outputs.closings {
            guard let closer = closers[closing.connection] else { continue }
            followUp.closings.append { closer(closing.reason) }
        }
        if let level = outputs.logLevel { followUp.logLevel = level }
        loads.pass(outputs.loads, committed: committed, to: &followUp.loads)
        searches.pass(outputs.searches, committed: committed, to: &followUp.searches)
        if !outputs.events.isEmpty, !listeners.isEmpty {
            untold += outputs.events
            followUp.hasNews = true
        }
        if !paused.isEmpty, !core.holdsPublishersBack { resumePaused(into: &followUp) }
        if writerRest != .awake,
            core.commitWish == .now || (core.commitWish == .lazy && writerRest == .asleep)
        {
            writerRest = .awake
            followUp.wakesWriter = true
        }
        if let until = timekeeperSleepsUntil, core.nextWake < until || hasLongWork {
            timekeeperSleepsUntil = nil
            followUp.wakesTimekeeper = true
        }
    }

    /// Long work goes on only while there is room for what it makes.
    var hasLongWork: Bool { core.hasMoreWork && core.hasRoomForWork }

    /// Lets the reads and searches go that waited for batches up to `number`.
    mutating func committed(through number: BatchNumber) {
        committed = number
        loads.committed(through: number)
        searches.committed(through: number)
    }

    private mutating func resumePaused(into followUp: inout FollowUp) {
        for outlet in paused { outlet.isPaused.store(false, ordering: .releasing) }
        followUp.wakes += paused
        paused.removeAll(keepingCapacity: true)
    }

    /// Remembers that `outlet` must wait for room, if there is none.
    mutating func pauseUnderPressure(_ outlet: Outlet) {
        guard core.holdsPublishersBack, !outlet.isPaused.load(ordering: .relaxed) else { return }
        outlet.isPaused.store(true, ordering: .relaxed)
        paused.append(outlet)
    }
}

/// Guards the core with one lock and performs what comes out of it.
final class Engine: Sendable {
    let clock: BrokerClock
    let logger: Logger
    let store: Store
    let writerSignal = Signal()
    let timekeeperSignal = Signal()
    let reader: Reader
    let searcher: Searcher

    /// Where it tells how it is; `nil` where nobody listens.
    let metrics: BrokerMetrics?
    private let setLogLevel: (@Sendable (LogLevel) -> Void)?
    private let state: Mutex<EngineState>
    private let telling = Mutex(())  // keeps what is told in order; taken before the engine's lock
    let ending = Mutex(Ending())  // guards who waits for the end

    /// An engine around what `open` found; its threads run once `start` is called.
    init(storage path: String?, configuration: Broker.Configuration) throws(BrokerError) {
        clock = configuration.clock ?? .system()
        logger = configuration.logger
        metrics = BrokerMetrics(configuration.metrics ?? MetricsSystem.factory)
        setLogLevel = configuration.logControl?.set
        let now = clock.now()
        let (store, recovered) = try Store.open(
            path: path, options: configuration.store, now: now, logger: configuration.logger)
        self.store = store
        reader = Reader(store: store, logger: configuration.logger)
        searcher = Searcher(store: store, limits: configuration.limits)
        var generator = SystemRandomNumberGenerator()
        var core = BrokerCore(limits: configuration.limits, seed: configuration.seed ?? generator.next())
        core.facts.version = Broker.version
        core.facts.logLevel = configuration.logControl?.initial
        core.facts.database = path.map { Files.absolute($0) } ?? ""
        core.facts.databaseID = path.flatMap { Files.id(of: $0) } ?? ""
        core.recover(recovered, now: now)
        // Before anybody can publish what there is no room for.
        if let shortage = store.shortage { core.setAlarm(shortage.text, now: now) }
        state = Mutex(EngineState(core: core))
        refreshFacts()
    }

    /// Runs `body` under the lock, then performs what it brought about.
    @discardableResult
    func enter<Result: Sendable>(_ body: (inout EngineState, Instant) -> Result) -> Result {
        var followUp = FollowUp()
        let result = enter(deferring: &followUp, body)
        perform(followUp)
        return result
    }

    /// Runs `body` under the lock. Whoever holds a lock of its own calls this and performs the follow-up once
    /// it has let go: wakes run code that may take the same lock.
    func enter<Result: Sendable>(
        deferring followUp: inout FollowUp, _ body: (inout EngineState, Instant) -> Result
    ) -> Result {
        state.withLock { state in
            let result = body(&state, clock.now())
            state.collect(into: &followUp)
            return result
        }
    }

    /// Does what a locked section brought about. Never called under a lock.
    func perform(_ followUp: FollowUp) {
        if followUp.wakesWriter { writerSignal.raise() }
        if !followUp.loads.isEmpty { reader.request(followUp.loads) }
        if !followUp.searches.isEmpty { searcher.request(followUp.searches) }
        for outlet in followUp.wakes { outlet.wake() }
        for close in followUp.closings { close() }
        if let level = followUp.logLevel {
            setLogLevel?(level)
            logger.notice("log level changed by a client", metadata: ["log-level": "\(level)"])
        }
        if followUp.wakesTimekeeper { timekeeperSignal.raise() }
        if followUp.hasNews { tellListeners() }
    }

    /// Tells those who listen what happened, in the order in which it did, whichever threads come here.
    func tellListeners() {
        telling.withLock { _ in
            let (events, listeners) = state.withLock { state in
                defer { state.untold = [] }
                return (state.untold, Array(state.listeners.values))
            }
            for event in events {
                for listener in listeners { listener.yield(event) }
            }
        }
    }

    /// Tells the core what it needs to know for the answer to a request.
    func refreshFacts(for request: Request) {
        if case .status = request { refreshFacts() } else { refreshNotes() }
    }

    /// Tells the core what the owners of sessions know of them.
    func refreshNotes() {
        enter { state, _ in
            for (id, outlet) in state.outlets { state.core.noted(outlet.notes.withLock { $0 }, of: id) }
        }
    }

    /// Tells the core how big the file and the process are, for its status.
    func refreshFacts() {
        let databaseBytes = store.fileBytes()
        let diskFreeBytes = store.diskFreeBytes()
        let residentBytes = residentMemoryBytes()
        enter { state, _ in
            state.core.facts.databaseBytes = databaseBytes
            state.core.facts.diskFreeBytes = diskFreeBytes
            state.core.facts.residentBytes = residentBytes
        }
    }
}
