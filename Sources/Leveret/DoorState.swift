// What a door's lock guards: the waiting tasks, the consumer's inbox, and how events are sorted into them.
// It resumes nobody: what is due goes out in `Resolved`.

import LeveretCore

/// What is to be done once the door's lock is let go.
struct Resolved: Sendable {
    var answers: [(Waiter, Answer)] = []
    var released: [CheckedContinuation<Void, Never>] = []
    /// Deliveries to hand back.
    var unseen: [Delivery] = []
    var endsInbox = false
}

/// The deliveries of a consumer between the session and its iterator.
struct Inbox: Sendable {
    /// How a consumer ended.
    enum Ending: Sendable {
        /// It was cancelled, or the broker shuts down.
        case over
        case failed(BrokerError)
    }

    /// So many gather before the core keeps the rest; 0 is without limit.
    let countMax: Int
    private(set) var ending: Ending?
    private var deliveries: [Delivery] = []
    /// The session was not drained for want of room.
    private var isStalled = false
    /// The shelf may hold some for those who find nothing here.
    private var isShelved = false

    init(countMax: Int) { self.countMax = countMax }

    /// There is nothing to take, but there may be.
    var isWaiting: Bool { deliveries.isEmpty && !isShelved && ending == nil }

    /// Whether more may be drained; if not, `take` says so.
    mutating func hasRoom() -> Bool {
        isStalled = countMax > 0 && deliveries.count >= countMax
        return !isStalled
    }

    /// Takes in a delivery; returns false if it should be handed back, the consumer having ended.
    mutating func append(_ delivery: Delivery) -> Bool {
        guard ending == nil || delivery.source.autoAck else { return false }
        deliveries.append(delivery)
        return true
    }

    /// Moves all onto `shelf`, which is empty. Returns how the consumer ended, if it did, and whether the
    /// session is to be drained.
    mutating func take(onto shelf: inout [Delivery]) -> (Ending?, isStalled: Bool) {
        swap(&shelf, &deliveries)
        isShelved = shelf.count > 1  // the taker has the first
        defer { isStalled = false }
        return (ending, isStalled)
    }

    /// Ends the consumer. Returns what is to be handed back to the queue; what was acked automatically stays.
    mutating func end(_ ending: Ending) -> [Delivery] {
        if self.ending == nil { self.ending = ending }
        return takeHeld()
    }

    private mutating func takeHeld() -> [Delivery] {
        let held = deliveries.filter { !$0.source.autoAck }
        if !held.isEmpty { deliveries.removeAll { !$0.source.autoAck } }
        return held
    }
}

/// Everything behind a door's lock.
struct DoorState {
    /// What a parked task waits for.
    enum Lot: Hashable, Sendable { case room, delivery }

    var waiters = WaiterTable()
    var inbox: Inbox
    /// Drained and not yet sorted; empty between two exchanges, kept for its storage.
    var events: [SessionEvent] = []
    var parked: [Lot: [UInt64: CheckedContinuation<Void, Never>]] = [:]
    private var parkedCount: UInt64 = 0

    init(inbox: Inbox) { self.inbox = inbox }

    /// A number for a task that is about to park.
    mutating func parkingTicket() -> UInt64 {
        parkedCount += 1
        return parkedCount
    }

    /// Finds for every drained event who gets it.
    mutating func sort(into resolved: inout Resolved) {
        for event in events {
            switch event {
            case .delivery(let delivery):
                if !inbox.append(delivery) { resolved.unseen.append(delivery) }
            case .answer(let ticket, let answer):
                if let waiter = waiters.answered(ticket) {
                    resolved.answers.append((waiter, answer))
                } else if case .delivered(let delivery, _) = answer {
                    resolved.unseen.append(delivery)  // for a GET that was cancelled meanwhile
                }
            case .consumerEnded(let tag, let end):
                let code: ReplyCode =
                    switch end {
                    case .leaseExpired: .preconditionFailed
                    case .accessRefused: .accessRefused
                    case .queueDeleted: .notFound
                    }
                let error = BrokerError(code, "consumer '\(tag)' ended: \(end.rawValue)")
                endInbox(.failed(error), into: &resolved)
            case .notice(.draining):
                endInbox(.over, into: &resolved)
            case .notice(.blocked), .notice(.unblocked):
                break
            }
        }
        events.removeAll(keepingCapacity: true)
    }

    /// Ends the consumer's inbox.
    mutating func endInbox(_ ending: Inbox.Ending, into resolved: inout Resolved) {
        resolved.unseen += inbox.end(ending)
        resolved.endsInbox = true
    }

    /// The session has ended: nobody will be answered any more.
    mutating func fail(into resolved: inout Resolved) {
        for waiter in waiters.ended() { resolved.answers.append((waiter, .refused(.ended))) }
        _ = inbox.end(.over)  // nobody is left to hand anything back to
        resolved.unseen = []
        resolved.endsInbox = true
    }

    /// Lets those go on whose wait is over.
    mutating func release(into resolved: inout Resolved, room: Bool) {
        guard !parked.isEmpty else { return }
        if room { release(.room, into: &resolved) }
        if !inbox.isWaiting { release(.delivery, into: &resolved) }
    }

    private mutating func release(_ lot: Lot, into resolved: inout Resolved) {
        guard let tasks = parked.removeValue(forKey: lot) else { return }
        resolved.released += tasks.values
    }
}
