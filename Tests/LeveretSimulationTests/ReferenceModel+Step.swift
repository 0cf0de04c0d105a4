// One input of the core and what was seen to come of it, held against the model.

import LeveretCore

/// What the core was seen to do in one input.
struct Step {
    var takes: [Take] = []
    var answers: [(SessionID, Ticket, Answer)] = []
    var ended: [(SessionID, String)] = []
    var arrivals: [Arrival] = []

    init(_ events: [(SessionID, SessionEvent)], in model: ReferenceModel) {
        for (session, event) in events {
            let vhost = model.session(session)?.vhost ?? "/"
            switch event {
            case .delivery(let delivery):
                takes.append(Take(session, delivery, in: vhost, ticket: nil, remaining: nil))
            case .answer(let ticket, .delivered(let delivery, let remaining)):
                takes.append(Take(session, delivery, in: vhost, ticket: ticket, remaining: remaining))
            case .answer(let ticket, let answer): answers.append((session, ticket, answer))
            case .consumerEnded(let tag, _): ended.append((session, tag.rawValue))
            case .notice: break
            }
        }
    }
}

extension Take {
    init(
        _ session: SessionID, _ delivery: Delivery, in vhost: String, ticket: Ticket?, remaining: Int?
    ) {
        self.init(
            session: session, consumer: delivery.source.consumer?.rawValue, ticket: ticket,
            autoAck: delivery.source.autoAck, queue: delivery.source.queue.rawValue.placed(in: vhost),
            number: delivery.number.rawValue, tag: delivery.tag.rawValue, delivery: delivery,
            remaining: remaining)
    }
}

extension ReferenceModel {
    /// Follows the core through one input.
    func step(
        _ step: Step, now: Int64, before: Int64, leaving left: [(SessionID, Int)],
        due: [(copy: Copy, place: Int64?)],
        cause: (ReferenceModel) throws -> Void
    ) throws {
        self.now = now
        steps += 1
        highestNumber = before
        arrivals = step.arrivals
        takes = step.takes
        passedOver = []
        ended = []
        for session in sessions { session.heldMost = session.held.count }
        try checkTags(step.takes)
        expire()
        shorten()
        try comeDue(due)
        shortenGone()
        try makePendingChanges()
        var answers = step.answers
        answers.removeAll { _, ticket, answer in
            guard case .empty = answer else { return false }
            return endGet(ticket)
        }
        try cause(self)
        try handBackUndrained()
        for (id, count) in left {
            if let session = leaving.first(where: { $0.id == id }) { try handedBack(session, left: count) }
        }
        for session in leaving where !left.contains(where: { $0.0 == session.id }) {
            try handedBack(session, left: 0)
        }
        try dispatchAll()
        shorten()
        try explainArrivals()
        try dispatchAll()
        noteEmptied()
        // Once a batch is taken, nothing shows any more that it removed them.
        for queue in queues { queue.knownDead.removeAll { !isPending($0) } }
        obeyLate()
        noteEndedMoves()
        for (_, ticket, answer) in answers { try answered(ticket, answer) }
        try checkUnexplained()
        let open = ended.filter { id, _ in session(id) != nil }.map { "\($0.rawValue) \($1)" }
        try require(
            open.sorted() == step.ended.map { "\($0.rawValue) \($1)" }.sorted(),
            "the core ended consumers \(step.ended); the model \(open)")
        for other in passedOver
        where hasCredit(other) && other.queue.consumers.contains(where: { $0 === other }) {
            throw Violation(
                "consumer \(other.tag) of \(other.queue.name) held less, or comes before, and was passed over"
            )
        }
    }

    /// Follows the core in dropping what a restart found too much, or what is too much for as long as a dead
    /// message behind the window was not found.
    private func shorten() {
        for queue in queues {
            queue.condemned.removeAll {
                !$0.isDurable && $0.isDropped && !isCounted($0)
            }
        }
        for queue in queues where queue.isTooLong || (isExact && countsTheDead(queue)) {
            while let head = queue.ready.first, !isCounted(head),
                !takes.contains(where: { $0.number == head.number })
            {
                remove(head, to: .maxlen)
            }
            queue.isTooLong = queue.isOverfull || queue.condemned.contains { isCounted($0) }
        }
    }

    /// Follows the core in dropping what was too much in a queue that went in the same input, for as long as the
    /// dead in it counted: that is seen only by where the dropped went.
    private func shortenGone() {
        for queue in queues where queue.isLimited && !isThere(queue) {
            let dead = queue.condemned
            let bytes = dead.reduce(0) { $0 + $1.message.size }
            while let head = queue.ready.first,
                queue.isOverfull(with: dead.count, bytes: bytes), hasArrived(head, dropped: .maxlen)
            {
                remove(head, to: .maxlen)
            }
        }
    }

    /// True where a copy that would die of this was seen to arrive where that leads.
    private func hasArrived(_ copy: Copy, dropped reason: DeathReason) -> Bool {
        let history = deaths(of: copy, reason)
        return arrivals.contains {
            $0.messageID == copy.message.id && $0.deaths.suffix(history.count) == history[...]
        }
    }

    private func countsTheDead(_ queue: ModelQueue) -> Bool {
        queue.isLimited && !moves.contains { $0.source === queue && !$0.candidates.isEmpty }
            && queue.condemned.contains { isCounted($0) }
    }

    private func checkUnexplained() throws {
        if let take = takes.first {
            let queue = queue(take.queue)
            let head = queue?.ready.first.map { "its head is \($0.number)" } ?? "nothing is ready there"
            throw Violation("message \(take.number) of \(take.queue) was delivered out of turn: \(head)")
        }
        if let arrival = arrivals.first {
            throw Violation("message \(arrival.messageID) came into \(arrival.queue) for no reason")
        }
    }

    /// Delivery tags count on by one in each session.
    private func checkTags(_ takes: [Take]) throws {
        for take in takes {
            guard let session = session(take.session) else { continue }
            session.tagsGiven += 1
            try require(
                take.tag == session.tagsGiven, "delivery tag \(take.tag) follows \(session.tagsGiven - 1)")
        }
    }

    /// A GET whose time is over was answered; true where that is right.
    private func endGet(_ ticket: Ticket) -> Bool {
        for queue in queues {
            guard let index = queue.gets.firstIndex(where: { $0.ticket == ticket }) else { continue }
            guard let deadline = queue.gets[index].deadline, deadline <= now else { return false }
            queue.gets.remove(at: index)
            queue.lastUsed = now
            expected[ticket] = nil
            return true
        }
        return false
    }

    /// Everything has been read: whatever is dead has gone where it was to go.
    func checkDead() throws {
        strays = []
        for queue in queues {
            let late = queue.condemned.first { !$0.isDropped && !isPending($0) }
            if let copy = late {
                throw Violation(
                    "message \(copy.message.id) of \(queue.name) is \(copy.state) and went nowhere")
            }
        }
    }
}
