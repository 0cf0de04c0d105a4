// What must be in the database after a batch, and what a restart brings back.

import LeveretCore

/// A row as it has to be.
struct ExpectedRow {
    var copy: Copy
    var queue: QueueID?
    /// Failures: the last is not written where it was the message's death.
    var failed: ClosedRange<Int>
    /// Deliveries: the last one counts only once it has been held for a while.
    var acquired: ClosedRange<Int>
    var mayBeHeld: Bool
    var place: Int64
    var due: Int64?
    var expires: Int64
    var version: Int
}

/// Everything that has to be in the database once a batch is committed.
struct DurableState {
    var rows: [Int64: ExpectedRow] = [:]
    var exchanges: [ModelExchange] = []
    var queues: [ModelQueue] = []
    var bindings: [ModelBinding] = []
    var paused: Set<String> = []
    var seen: [String: [String: Int64]] = [:]
    var policies: [Policy] = []
    var vhosts: [String: Int?] = ["/": nil]
    var changes = 0
    var highestNumber: Int64 = 0
    var inserted: [Copy] = []
}

extension ReferenceModel {
    /// The durable state as it stands, which a batch that is taken at this moment has to bring about.
    func durableState(after batch: WriteBatch) -> DurableState {
        var state = DurableState()
        state.changes = durableChanges
        state.highestNumber = highestNumber
        state.exchanges = exchanges.filter(\.isDurable)
        state.queues = queues.filter(\.isDurable)
        state.seen = durableIDs()
        state.policies = policies
        state.vhosts = vhosts
        state.paused = Set(state.queues.filter(\.isPaused).map(\.name))
        state.bindings = bindings.filter { $0.isDurable(in: self) }
        let gone = numbersRemoved(by: batch)
        for queue in state.queues {
            queue.condemned.removeAll { copy in
                guard gone.contains(copy.number) else { return false }
                return copy.isDropped
            }
            for copy in queue.ready + queue.delayed + queue.condemned where copy.isDurable && copy.number > 0
            {
                state.rows[copy.number] = row(copy, held: copy.state != .ready && copy.state != .delayed)
            }
        }
        for session in sessions + leaving {
            for copy in session.held.map(\.copy) + session.handing
            where copy.isDurable && !copy.queue.isDeleted {
                state.rows[copy.number] = row(copy, held: true)
            }
        }
        for insert in batch.inserts where insert.message != nil && !insert.isSpilled {
            if let copy = state.rows[insert.number.rawValue]?.copy { state.inserted.append(copy) }
        }
        return state
    }

    private func row(_ copy: Copy, held: Bool) -> ExpectedRow {
        ExpectedRow(
            copy: copy, queue: copy.queue.storedID,
            failed: (isDead(copy) ? max(0, copy.failed - 1) : copy.failed)...copy.failed,
            acquired: held ? max(0, copy.acquired - 1)...copy.acquired : copy.acquired...copy.acquired,
            mayBeHeld: held, place: copy.place, due: copy.due, expires: copy.expires, version: copy.version)
    }

    private func isDead(_ copy: Copy) -> Bool {
        if case .condemned = copy.state { true } else { false }
    }

    private func numbersRemoved(by batch: WriteBatch) -> Set<Int64> {
        var gone = Set(batch.removals.map(\.rawValue))
        for insert in batch.inserts where insert.message == nil { gone.insert(insert.number.rawValue) }
        for range in batch.ranges {
            guard let queue = queues.first(where: { $0.storedID == range.queue }) else { continue }
            for copy in queue.condemned
            where copy.place > range.after.rawValue && copy.place <= range.through.rawValue
                && (range.priority == nil || range.priority == UInt8(copy.priority))
            {
                gone.insert(copy.number)
            }
        }
        return gone
    }

    /// A batch is on disk: what it was to bring about has to be there, and nothing else.
    func committed(_ state: DurableState, _ rows: [StoredCopy], unfinished: [RangeRemoval]) throws {
        durableCommitted = state.changes
        for copy in state.inserted { copy.isCommitted = true }
        let left = rows.filter { row in
            !unfinished.contains {
                $0.queue == row.queue && $0.after < row.place && row.place <= $0.through
                    && ($0.priority == nil || $0.priority == row.priority)
            }
        }
        onDisk = Dictionary(uniqueKeysWithValues: left.map { ($0.number.rawValue, $0.version) })
        heldOnDisk = Dictionary(
            uniqueKeysWithValues: left.filter(\.isHeld).map { ($0.number.rawValue, Int($0.acquired)) })
        for row in left {
            let number = row.number.rawValue
            guard let wanted = state.rows[number] else {
                throw Violation("row \(number) is in the database and should not be")
            }
            try require(
                wanted.queue == row.queue && wanted.failed.contains(Int(row.failed))
                    && wanted.acquired.contains(Int(row.acquired)) && (wanted.mayBeHeld || !row.isHeld)
                    && (!row.isHeld || wanted.acquired.upperBound == Int(row.acquired)),
                "row \(number) is \(row); wanted failed \(wanted.failed), acquired \(wanted.acquired), "
                    + "queue \(wanted.queue?.rawValue ?? 0)")
            try require(
                row.place.rawValue == (wanted.due == nil ? wanted.place : -wanted.place)
                    && row.due?.milliseconds == wanted.due && row.version == wanted.version
                    && row.priority == wanted.copy.queue.priorityMax.map { _ in UInt8(wanted.copy.priority) },
                "row \(number) stands at \(row); wanted place \(wanted.place), due \(wanted.due ?? 0)")
            try require(
                row.expires.milliseconds == wanted.expires, "row \(number) expires at \(row.expires)")
        }
        if left.count != state.rows.count, let lost = state.rows.keys.first(where: { onDisk[$0] == nil }) {
            throw Violation(
                "row \(lost) (message \(state.rows[lost]?.copy.message.id ?? 0)) should be in the database and is not"
            )
        }
    }

    /// Everything that was not on disk is lost; the broker starts again from these rows.
    func restarted(from state: DurableState, _ recovered: RecoveredState, _ rows: [StoredCopy]) throws {
        let hosts = recovered.virtualHosts.map { ($0.name.rawValue, $0.limits.queuesMax) }
        try require(
            Dictionary(uniqueKeysWithValues: hosts) == state.vhosts,
            "a restart found the vhosts \(hosts), not \(state.vhosts)")
        let names = Set(recovered.placedQueues.map(\.definition.name.rawValue))
        try require(names == Set(state.queues.map(\.name)), "a restart found queues \(names.sorted())")
        let predeclared = state.vhosts.keys.flatMap { Self.predeclared(in: $0) }.map(\.name)
        let found = Set(recovered.placedExchanges).union(predeclared)
        try require(
            found == Set(state.exchanges.map(\.name)), "a restart found exchanges \(found.sorted())")
        try require(
            Set(recovered.placedBindings) == Set(state.bindings.map { coreBinding($0) }),
            "a restart found bindings \(recovered.placedBindings)")
        let paused = recovered.placedQueues.filter { $0.pausedSince != nil }.map(\.definition.name.rawValue)
        try require(
            Set(paused) == state.paused, "a restart found queues \(paused) paused, not \(state.paused)")
        forget()
        seen = state.seen
        policies = state.policies
        vhosts = state.vhosts
        try require(
            Set(recovered.placedPolicies) == Set(policies),
            "a restart found policies \(recovered.placedPolicies)")
        exchanges = state.exchanges.map { obeying($0) }
        bindings = state.bindings
        queues = recovered.placedQueues.map { recovered in
            let queue = own(ModelQueue(recovered.definition, owner: nil, now: now))
            queue.storedID = recovered.id
            queue.isPaused = recovered.pausedSince != nil
            obeyPolicies(queue)
            return queue
        }
        for row in rows { try revive(row) }
        for queue in queues { queue.isTooLong = queue.isLimited }
        for recovered in recovered.placedQueues {
            guard let queue = queue(recovered.definition.name.rawValue) else { continue }
            let count = queue.ready.count + queue.condemned.count
            try require(
                recovered.count == count && recovered.delayed == queue.delayed.count,
                "a restart found \(recovered.count) in \(queue.name), not \(count)")
        }
    }

    private func forget() {
        sessions = []
        leaving = []
        moves = []
        expected = [:]
        askers = [:]
        waitingPublishes = []
        strays = []
        pendingChanges = []
        ended = []
        isAlarmed = false
        haveExchangesToObey = false
        durableCommitted = durableChanges
    }

    private func revive(_ row: StoredCopy) throws {
        let number = row.number.rawValue
        guard let queue = queues.first(where: { $0.storedID == row.queue }) else { return }
        guard let old = written[number] else {
            throw Violation("a restart found row \(number), never written")
        }
        let copy = old.revived(in: queue, version: row.version)
        written[number] = copy
        copy.failed = Int(row.failed)
        copy.acquired = Int(row.acquired)
        copy.place = abs(row.place.rawValue)
        copy.expires = row.expires.milliseconds
        if let due = row.due { queue.delay(copy, until: due.milliseconds) } else { queue.putBack(copy) }
        queue.highest = max(queue.highest, number)
        guard let limit = queue.deliveryLimit, copy.failed > limit, copy.due == nil else { return }
        copy.isDeadSinceRestart = true
        remove(copy, to: .deliveryLimit)
    }

    private func coreBinding(_ binding: ModelBinding) -> Binding {
        Binding(
            source: ExchangeName(binding.source),
            target: binding.toExchange
                ? .exchange(ExchangeName(binding.target)) : .queue(QueueName(binding.target)),
            routingKey: binding.key, arguments: fieldTable(binding.arguments))
    }
}
