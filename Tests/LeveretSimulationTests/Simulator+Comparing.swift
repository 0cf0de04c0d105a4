// The core held against the model: after every operation where all reads are answered at once, and at rest.

@testable import LeveretCore

extension Simulator {
    /// Compares what can be compared when no read is outstanding.
    func compare() throws {
        try model.checkDead()
        try model.require(
            core.queuesByID.count == model.queues.count, "the core has other queues than the model")
        for held in model.sessions.flatMap(\.held) {
            try model.require(
                core.nextWake.milliseconds <= held.leaseEnd,
                "the lease of delivery \(held.tag) ends at \(held.leaseEnd) and no timer is set")
        }
        for queue in model.queues {
            guard let other = coreQueue(queue.name) else {
                throw Violation("the core has no queue \(queue.name)")
            }
            let dead = queue.condemned.filter { isCounted($0) }
            try model.require(
                other.readyCount == queue.ready.count + dead.count
                    && other.readyBytes == queue.readyBytes + dead.reduce(0) { $0 + $1.message.size },
                "\(queue.name) has \(other.readyCount) ready (\(other.readyBytes) bytes) in the core, "
                    + "\(queue.ready.count) (\(queue.readyBytes)) in the model")
            let held = (model.sessions + model.leaving).flatMap(\.held).filter { $0.copy.queue === queue }
            try model.require(
                other.unackedCount == held.count,
                "\(queue.name) has \(other.unackedCount) unacked in the core, \(held.count) in the model")
            try model.require(
                other.consumers.count == queue.consumers.count, "\(queue.name): consumers differ")
            try compareWindows(other, queue)
            try compareDelayed(other, queue)
            try compareTimers(queue)
            try model.require(!queue.isOverfull, "\(queue.name) holds more than it may")
            guard let next = queue.ready.first else { continue }
            let waits = model.waiting(at: queue)
            try model.require(
                waits == nil, "message \(next.number) of \(queue.name) is not handed to \(waits ?? "")")
        }
    }

    /// Compares what holds only when everything has been committed too.
    func compareAtRest() throws {
        model.moves.removeAll { model.expected[$0.ticket] == nil }
        if let get = model.queues.flatMap(\.gets).first(where: { $0.deadline == nil }) {
            throw Violation("a GET that should not wait has no answer: ticket \(get.ticket.rawValue)")
        }
        let open = model.expected.filter {
            if case .get = $0.value.kind { false } else { true }
        }
        if let (ticket, expectation) = open.min(by: { $0.key.rawValue < $1.key.rawValue }) {
            throw Violation("ticket \(ticket.rawValue) is never answered: \(expectation.kind)")
        }
    }

    private func compareDelayed(_ found: MessageQueue, _ queue: ModelQueue) throws {
        try model.require(
            found.delayed.count == queue.delayed.count,
            "\(queue.name) has \(found.delayed.count) delayed in the core, \(queue.delayed.count) in the model"
        )
        let soon = found.delayed.inMemory.sorted().map(\.entry.number.rawValue)
        try model.require(
            soon.elementsEqual(queue.delayed.prefix(soon.count).map(\.number)),
            "\(queue.name) has \(soon) due soon, not \(queue.delayed.map(\.number))")
        if let late = queue.delayed.first, let due = late.due, due <= now {
            throw Violation("message \(late.number) of \(queue.name) was due at \(due) and still waits")
        }
    }

    private func compareWindows(_ found: MessageQueue, _ queue: ModelQueue) throws {
        for priority in found.priorities {
            let inMemory = found[priority].entries.map(\.number.rawValue)
            let wanted = queue.ready.filter { $0.priority == Int(priority) }.map(\.number)
            try model.require(
                inMemory.elementsEqual(wanted.prefix(inMemory.count)),
                "\(queue.name) has \(inMemory) at priority \(priority), not \(wanted)")
        }
    }

    private func compareTimers(_ queue: ModelQueue) throws {
        var due = queue.ready.lazy.map(\.expires).min() ?? .max
        due = min(due, queue.delayed.first?.due ?? .max)
        for get in queue.gets { due = min(due, get.deadline ?? .max) }
        let isIdle = queue.expiresIfEmpty == nil || queue.wasEmpty
        if let expires = queue.expires ?? queue.expiresIfEmpty, isIdle, queue.consumers.isEmpty,
            queue.gets.isEmpty
        {
            due = min(due, queue.lastUsed + expires)
        }
        try model.require(
            core.nextWake.milliseconds <= due,
            "something is due in \(queue.name) at \(due) and no timer is set")
    }
}
