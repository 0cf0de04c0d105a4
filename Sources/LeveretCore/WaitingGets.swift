// The GETs that wait at one queue. There may be very many, so that nothing that happens to each of them may look
// at all of them.

import DequeModule

/// A GET that waits for a message, or for the store to be read.
struct WaitingGet {
    var session: Session
    var ticket: Ticket
    var autoAck: Bool
    /// When it is answered with nothing; `nil` when it only waits for the store.
    var deadline: Instant?
}

/// GETs in the order in which they came.
struct WaitingGets {
    private var gets: Deque<WaitingGet> = []
    /// How many have no deadline.
    private(set) var withoutDeadline = 0
    /// No deadline is earlier; the earliest one may have gone.
    private(set) var earliestDeadline = Instant.distantFuture

    /// None waits.
    var isEmpty: Bool { gets.isEmpty }

    mutating func append(_ get: WaitingGet) {
        gets.append(get)
        guard let deadline = get.deadline else {
            withoutDeadline += 1
            return
        }
        earliestDeadline = min(earliestDeadline, deadline)
    }

    /// Takes the one that came first.
    mutating func popFirst() -> WaitingGet? {
        guard let get = gets.popFirst() else { return nil }
        if get.deadline == nil { withoutDeadline -= 1 }
        if gets.isEmpty { earliestDeadline = .distantFuture }
        return get
    }

    /// Takes those out for which `isOver` holds. Looks at every one.
    mutating func removeAll(where isOver: (WaitingGet) -> Bool) -> [WaitingGet] {
        var removed: [WaitingGet] = []
        let all = gets
        self = WaitingGets()
        for get in all {
            if isOver(get) { removed.append(get) } else { append(get) }
        }
        return removed
    }
}
