// What the Swift API is made of: a session whose answers resume the tasks that wait for them, and whose
// deliveries gather for a consumer. The broker has one; every consumer has one of its own.

import LeveretCore
import Synchronization

/// A session for tasks.
///
/// Its lock is taken before the engine's, never the other way round; continuations are resumed and other
/// sessions woken after it is let go.
final class Door: Sendable {
    private let session: BrokerSession
    private let state: Mutex<DoorState>  // guards who waits, and what was drained and not yet handed on
    private let ends = Atomic(false)

    /// Opens a session on `connection`. `inboxMax` bounds the deliveries that gather before the core keeps
    /// the rest; 0 is for sessions whose prefetch bounds them.
    init(connection: BrokerConnection, inboxMax: Int = 0) {
        let bell = Bell()
        session = connection.openSession { bell.ring() }
        state = Mutex(DoorState(inbox: Inbox(countMax: inboxMax)))
        bell.leads(to: self)
    }

    /// Opens a session in a virtual host.
    ///
    /// - Throws: `BrokerError` (404) when that isn't there.
    convenience init(
        connection: BrokerConnection, in virtualHost: VirtualHostName, inboxMax: Int = 0
    ) async throws {
        self.init(connection: connection, inboxMax: inboxMax)
        if virtualHost != .default { _ = try await ask(.enter(virtualHost)) }
    }

    /// In which virtual host its session is; `nil` once it is closed.
    var virtualHost: VirtualHostName? { session.virtualHost }

    /// Submits `request` and returns its answer, once it has come.
    ///
    /// - Throws: `BrokerError` when it is refused, `CancellationError` when the task is cancelled while it
    ///   waits: the request may be carried out all the same.
    func ask(_ request: Request) async throws -> Answer {
        try Task.checkCancellation()
        let ticket = state.withLock { $0.waiters.reserve() }
        let answer = try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                let isSubmitted = submit(request, ticket, for: .task(continuation))
                if !isSubmitted { continuation.resume(throwing: CancellationError()) }
            }
        } onCancel: {
            abandon(request, ticket)
        }
        if case .refused(let error) = answer { throw error }
        return answer
    }

    /// Nobody waits for the answer any more. A GET must not go on to take a message for nobody.
    private func abandon(_ request: Request, _ ticket: Ticket) {
        guard let continuation = state.withLock({ $0.waiters.abandon(ticket) }) else { return }
        continuation.resume(throwing: CancellationError())
        if case .get(let queue, _, _) = request { send(.endGet(queue, ticket)) }
    }

    /// Submits `request`; `handle` gets the answer.
    func submit(_ request: Request, for handle: PublishHandle) {
        let ticket = state.withLock { $0.waiters.reserve() }
        submit(request, ticket, for: .handle(handle))
    }

    /// Submits one request whose answer nobody waits for.
    func send(_ request: Request) {
        exchange { state, session, followUp in
            session.submit(WaiterTable.nobody, request, events: &state.events, deferring: &followUp)
        }
    }

    /// Submits `requests` whose answers nobody waits for.
    func send(_ requests: [Request]) {
        let submissions = requests.map { Submission(WaiterTable.nobody, $0) }
        exchange { state, session, followUp in
            session.submit(submissions, events: &state.events, deferring: &followUp)
        }
    }

    /// Returns once there is room for a publish.
    ///
    /// - Throws: `CancellationError` when the task is cancelled while it waits.
    func waitForRoom() async throws {
        while session.shouldPause {
            try Task.checkCancellation()
            await park(in: .room) { [session] _ in session.shouldPause }
        }
    }

    /// Whether it is one of this broker's.
    func leads(to engine: Engine) -> Bool { session.engine === engine }

    // MARK: Deliveries

    /// The consumer's sequence ends as soon as its task asks for more.
    var isEnding: Bool { ends.load(ordering: .relaxed) }

    /// Moves what has gathered onto `shelf`, which is empty, last first. Returns how the consumer ended, if it
    /// did, and whether there is to be a `pump` now that there is room.
    func take(onto shelf: inout [Delivery]) -> (Inbox.Ending?, isStalled: Bool) {
        let taken = state.withLock { $0.inbox.take(onto: &shelf) }
        shelf.reverse()
        return taken
    }

    /// Returns once there may be deliveries, in the inbox or on the shelf, the consumer has ended, or the task
    /// is cancelled.
    func waitForDelivery() async {
        await park(in: .delivery) { $0.inbox.isWaiting }
    }

    /// Ends the consumer's sequence, and hands back what nobody has seen. The consumer is cancelled before.
    func endInbox() {
        var resolved = Resolved()
        state.withLock { state in
            state.endInbox(.over, into: &resolved)
            state.release(into: &resolved, room: false)
        }
        conclude(resolved)
    }

    /// Hands back to the queue what nobody has seen.
    func handBack(_ deliveries: [Delivery]) {
        guard !deliveries.isEmpty else { return }
        send(deliveries.map { .settle(Settlement(.requeue, $0.tag)) })
    }

    // MARK: The road in and out

    /// Takes what waits for the session and hands it on.
    func pump() {
        var goesOn = true
        while goesOn {
            goesOn = exchange { state, session, followUp in
                // An answer may stand behind the deliveries.
                guard state.inbox.hasRoom() || state.waiters.areWaiting else { return true }
                return session.submit([], events: &state.events, deferring: &followUp)
            }
        }
    }

    /// Returns false, with nothing submitted, if the wait was cancelled before it began.
    @discardableResult
    private func submit(_ request: Request, _ ticket: Ticket, for waiter: Waiter) -> Bool {
        var isSubmitted = true
        exchange { state, session, followUp in
            isSubmitted = state.waiters.wait(for: ticket, waiter)
            guard isSubmitted else { return true }
            return session.submit(ticket, request, events: &state.events, deferring: &followUp)
        }
        return isSubmitted
    }

    /// One exchange with the session: `work` returns false once the session has ended. Returns whether any
    /// event came.
    @discardableResult
    private func exchange(_ work: (inout DoorState, BrokerSession, inout FollowUp) -> Bool) -> Bool {
        var followUp = FollowUp()
        var resolved = Resolved()
        let hadEvents = state.withLock { state in
            let isOpen = work(&state, session, &followUp)
            let hadEvents = !state.events.isEmpty
            state.sort(into: &resolved)
            if !isOpen { state.fail(into: &resolved) }
            state.release(into: &resolved, room: !session.shouldPause)
            return hadEvents
        }
        session.perform(followUp)
        conclude(resolved)
        return hadEvents
    }

    private func conclude(_ resolved: Resolved) {
        if resolved.endsInbox { ends.store(true, ordering: .relaxed) }
        for (waiter, answer) in resolved.answers { waiter.resume(returning: answer) }
        for continuation in resolved.released { continuation.resume() }
        handBack(resolved.unseen)
    }

    /// Suspends while `condition` holds; returns early when the task is cancelled.
    private func park(
        in lot: DoorState.Lot, while condition: @Sendable (borrowing DoorState) -> Bool
    ) async {
        let ticket = state.withLock { $0.parkingTicket() }
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let isParked = state.withLock { state in
                    guard !Task.isCancelled, condition(state) else { return false }
                    state.parked[lot, default: [:]][ticket] = continuation
                    return true
                }
                if !isParked { continuation.resume() }
            }
        } onCancel: {
            state.withLock { $0.parked[lot]?.removeValue(forKey: ticket) }?.resume()
        }
    }
}

/// Rings a door that is opened after the session that rings.
private final class Bell: Sendable {
    private struct Link { weak var door: Door? }

    private let link = Mutex(Link())  // guards the door, which is set once

    func leads(to door: Door) { link.withLock { $0.door = door } }

    func ring() { link.withLock { $0.door }?.pump() }
}
