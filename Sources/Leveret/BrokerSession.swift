// The synchronous door for servers: all requests of one socket read go in under one lock, and what concerns
// the client comes out as events. The Swift API is a layer over it, and a third party can put another
// protocol on it.

public import LeveretCore
import Synchronization

/// A client's connection: it owns exclusive queues and has one session or more.
///
/// Closing it, or letting go of it and of its sessions, closes its sessions and deletes its exclusive queues.
public final class BrokerConnection: Sendable {
    private struct Sessions {
        var isClosed = false
        var open: Set<SessionID> = []
    }

    let engine: Engine
    private let lease: Lease
    private let id: ConnectionID
    private let sessions = Mutex(Sessions())  // guards which are open; taken before the engine's lock

    init(
        lease: Lease, name: String, client: ClientDescription,
        onKill: (@Sendable (_ reason: String) -> Void)? = nil
    ) {
        self.lease = lease
        engine = lease.engine
        id = engine.enter { state, now in
            let id = state.core.openConnection(
                name: name, isClosable: onKill != nil, client: client, now: now)
            state.closers[id] = onKill
            return id
        }
    }

    deinit { close() }

    /// Opens a session (AMQP's channel). One of a closed connection refuses whatever it is asked.
    ///
    /// - Parameter stopsAtRefusal: nothing that is submitted behind a request that was refused is done or answered, as
    ///   on an AMQP channel, which is closed by it. That a queue is full, or publishes are refused, doesn't stop it.
    /// - Parameter wake: called when events wait that the session was not handed by `submit` or `drain`, and
    ///   when `shouldPause` has become false; once until the next `drain`. It runs on any thread, outside all
    ///   locks, and must only pass the word on (to an event loop, say): it delays whoever calls it.
    public func openSession(
        stopsAtRefusal: Bool = false, wake: @escaping @Sendable () -> Void
    ) -> BrokerSession {
        let outlet = Outlet(wake: wake)
        var followUp = FollowUp()
        let session = sessions.withLock { sessions in
            let isOpen = !sessions.isClosed
            let session = engine.enter(deferring: &followUp) { state, now in
                let session = state.core.openSession(on: id, stopsAtRefusal: stopsAtRefusal, now: now)
                if isOpen { state.outlets[session] = outlet }
                return session
            }
            if isOpen { sessions.open.insert(session) }
            return session
        }
        engine.perform(followUp)
        return BrokerSession(connection: self, id: session, outlet: outlet)
    }

    /// Gives the connection a user whose client has shown who it is: from here on its sessions may do what that user
    /// may. A connection without a user may do everything.
    ///
    /// - Parameter passwordHash: What the client's password was compared with (`Broker.passwordHash(of:)`).
    /// - Throws: 403 where that no longer stands for the user's password, 530 at a limit of the user, 503 where the
    ///   connection has a user.
    package func logIn(as user: UserName, passwordHash: String) throws(BrokerError) {
        let result = engine.enter { state, now -> Result<Void, BrokerError> in
            guard !state.isClosed else { return .failure(.ended) }
            return Result { () throws(BrokerError) in
                try state.core.logIn(id, as: user, passwordHash: passwordHash, now: now)
            }
        }
        try result.get()
    }

    /// Takes the connection, before it has sessions, into a virtual host: there they begin, and it counts there for as
    /// long as it is open.
    ///
    /// - Throws: `BrokerError`: 404 where there is no such virtual host, 530 where its user may not be there or too
    ///   many connections are.
    package func enter(_ virtualHost: VirtualHostName) throws(BrokerError) {
        let result = engine.enter { state, _ -> Result<Void, BrokerError> in
            guard !state.isClosed else { return .failure(.ended) }
            return Result { () throws(BrokerError) in try state.core.enter(virtualHost, with: id) }
        }
        try result.get()
    }

    /// Closes the connection: what its sessions hold goes back to its place, counted as failed.
    public func close() {
        let open = sessions.withLock { sessions -> Set<SessionID>? in
            guard !sessions.isClosed else { return nil }
            sessions.isClosed = true
            return sessions.open
        }
        guard let open else { return }
        engine.enter { state, now in
            for session in open { state.outlets[session] = nil }
            state.closers[id] = nil
            if !state.isClosed { state.core.closeConnection(id, now: now) }
        }
        engine.searcher.sessionClosed(engine)
    }

    fileprivate func closed(_ session: SessionID) {
        sessions.withLock { _ = $0.open.remove(session) }
    }
}

/// A client's session: where it submits requests, and where deliveries, answers and notices wait for it.
///
/// ```swift
/// let connection = broker.openConnection(name: "127.0.0.1:4711")
/// let session = connection.openSession { loop.execute { flush() } }
///
/// var events: [SessionEvent] = []
/// session.submit(requestsOfOneRead, events: &events)  // one lock for all of them
/// for event in events { write(event) }
/// ```
///
/// A session is meant for one caller at a time (an event loop): calls from two threads are safe, but which
/// gets which events is then up to chance. Every request is answered exactly once, with its ticket, unless
/// the session is closed or the broker ends first; what had been answered before the broker's end can still
/// be drained after it.
public final class BrokerSession: Sendable {
    /// Held so that a connection lives at least as long as its sessions.
    private let connection: BrokerConnection
    private let id: SessionID
    private let outlet: Outlet
    private let isClosed = Atomic(false)
    var engine: Engine { connection.engine }

    init(connection: BrokerConnection, id: SessionID, outlet: Outlet) {
        self.connection = connection
        self.id = id
        self.outlet = outlet
    }

    deinit { close() }

    /// Submits `submissions` in order, under one lock, and appends what waits for the session to `events`.
    ///
    /// Answers that need a commit come later, through `wake` and `drain`. Never waits for the disk.
    public func submit(_ submissions: [Submission], events: inout [SessionEvent]) {
        for submission in submissions where submission.asksForFacts {
            engine.refreshFacts(for: submission.request)
        }
        var followUp = FollowUp()
        submit(submissions, events: &events, deferring: &followUp)
        engine.perform(followUp)
    }

    /// Appends what waits for the session to `events`.
    ///
    /// Deliveries to consumers with automatic ack count as handed over. A drain can make room for more
    /// deliveries: `wake` then tells, so a caller whose client reads slowly may leave them where they are.
    public func drain(into events: inout [SessionEvent]) {
        var followUp = FollowUp()
        submit([], events: &events, deferring: &followUp)
        engine.perform(followUp)
    }

    /// True while so much waits for the disk that the session should submit no more publishes: a server
    /// stops to read its socket. `wake` is called when it has become false.
    public var shouldPause: Bool { outlet.isPaused.load(ordering: .acquiring) }

    /// Says what listings show of the session and the broker can't know.
    package func note(_ notes: SessionNotes) { outlet.notes.withLock { $0 = notes } }

    /// The virtual host that the session is in: `/` until it has entered another (`Request.enter`); `nil` once it is
    /// closed.
    public var virtualHost: VirtualHostName? {
        engine.enter { state, _ in state.core.virtualHost(of: id) }
    }

    /// Closes the session: its consumers end, what it holds goes back to its place, counted as failed.
    /// Whatever it submits from then on is refused.
    public func close() {
        guard !isClosed.exchange(true, ordering: .relaxed) else { return }
        connection.closed(id)
        engine.enter { state, now in
            guard state.outlets.removeValue(forKey: id) != nil, !state.isClosed else { return }
            state.core.closeSession(id, now: now)
        }
        engine.searcher.sessionClosed(engine)
    }

    /// What a request would be refused with for want of rights; `nil` where it would be carried out. For work that is
    /// done before a request can be submitted.
    package func refusal(of request: Request) -> BrokerError? {
        engine.enter { state, _ in state.core.refusal(of: request, from: id) }
    }

    /// `submit` for callers with a lock of their own, who perform the follow-up after they let go of it.
    /// - Returns: false once the session is closed: nothing will be answered any more.
    @discardableResult
    func submit(
        _ submissions: [Submission], events: inout [SessionEvent], deferring followUp: inout FollowUp
    ) -> Bool {
        engine.enter(deferring: &followUp) { state, now in
            guard isOpen(in: state) else {
                takeLastAnswers(of: &state, into: &events, now: now)
                refuse(submissions, events: &events)
                return false
            }
            state.core.submit(submissions, from: id, now: now)
            state.core.drain(id, into: &events, now: now)
            state.pauseUnderPressure(outlet)
            return true
        }
    }

    /// `submit` for a single request, without an array.
    /// - Returns: false once the session is closed: nothing will be answered any more.
    func submit(
        _ ticket: Ticket, _ request: Request, events: inout [SessionEvent], deferring followUp: inout FollowUp
    ) -> Bool {
        engine.enter(deferring: &followUp) { state, now in
            guard isOpen(in: state) else {
                takeLastAnswers(of: &state, into: &events, now: now)
                refuse([Submission(ticket, request)], events: &events)
                return false
            }
            state.core.submit(ticket, request, from: id, now: now)
            state.core.drain(id, into: &events, now: now)
            state.pauseUnderPressure(outlet)
            return true
        }
    }

    func perform(_ followUp: FollowUp) { engine.perform(followUp) }

    private func isOpen(in state: borrowing EngineState) -> Bool {
        !state.isClosed && state.outlets[id] != nil
    }

    /// After the broker's end, hands out what was answered before it. The messages among it are back in their
    /// queues, and nobody could settle them.
    private func takeLastAnswers(
        of state: inout EngineState, into events: inout [SessionEvent], now: Instant
    ) {
        guard state.isClosed, state.outlets[id] != nil else { return }
        var last: [SessionEvent] = []
        state.core.drain(id, into: &last, now: now)
        for event in last {
            switch event {
            case .delivery: break
            case .answer(let ticket, .delivered): events.append(.answer(ticket, .refused(.ended)))
            default: events.append(event)
            }
        }
    }

    private func refuse(_ submissions: [Submission], events: inout [SessionEvent]) {
        for submission in submissions { events.append(.answer(submission.ticket, .refused(.ended))) }
    }
}

extension Submission {
    /// The answer tells what the core doesn't know by itself.
    fileprivate var asksForFacts: Bool {
        switch request {
        case .status(nil), .list(.channels, _, _), .list(.consumers, _, _): true
        default: false
        }
    }
}

extension BrokerError {
    /// What everything is answered with after the end.
    static let ended = BrokerError(
        .connectionForced, "the broker or this session has been shut down; open it again to go on")
}
