// What the core was seen to do in one input, for the model to explain.

import LeveretTestSupport

@testable import LeveretCore

extension Simulator {
    /// Shows the model what the core has done in its last input, and what the input was.
    func observe(_ cause: (ReferenceModel) throws -> Void) throws {
        goneInBatch = nil
        let outputs = core.takeOutputs()
        loads += outputs.loads
        searches += outputs.searches
        var events: [(SessionID, SessionEvent)] = []
        for slot in sessions.keys.sorted() {
            guard let id = sessions[slot], let session = core.sessionsByID[id] else { continue }
            let from = seen[id] ?? 0
            for event in session.outgoing[from...] { events.append((id, event)) }
            seen[id] = session.outgoing.count
        }
        var step = Step(events, in: model)
        if core.nextNumber.rawValue - 1 > numberSeen { step.arrivals = arrivals(step.takes) }
        mix(step)
        let before = model.highestNumber
        numberSeen = core.nextNumber.rawValue - 1
        model.isChanging = { [unowned self] ticket in
            core.specialLoads.values.contains { special in
                if case .change = special.purpose { special.ticket == ticket } else { false }
            }
        }
        model.isBeingPurged = { [unowned self] in isBeingPurged($0) }
        model.dueInCore = { [unowned self] in dueInCore($0) }
        model.placeInCore = { [unowned self] in placeInCore($0) }
        model.isPending = { [unowned self] in isPending($0) }
        model.isThere = { [unowned self] in coreQueue($0.name) != nil }
        model.isCounted = { [unowned self] in isCounted($0) }
        model.isWaiting = { [unowned self] ticket in core.waitingForIDs.contains { $0.ticket == ticket } }
        model.isEnded = { [unowned self] ticket in
            (core.gathering.answers + (core.inFlight?.answers ?? [])).contains { $0.ticket == ticket }
        }
        model.movedInCore = { [unowned self] in movedInCore($0) }
        model.isHeld = { [unowned self] in core.sessionsByID[$0]?[DeliveryTag($1)] != nil }
        try model.step(
            step, now: now, before: before, leaving: leavingNow(), due: noLongerDelayed(), cause: cause)
        model.highestNumber = numberSeen
        for queue in model.queues where queue.storedID == nil {
            queue.storedID = coreQueue(queue.name)?.id
        }
    }

    /// The core's queue of this name of the model.
    func coreQueue(_ name: String) -> MessageQueue? {
        core.virtualHostsByName[VirtualHostName(name.vhost)].flatMap {
            core.queue(named: QueueName(name.plain), in: $0)
        }
    }

    /// The name that the model has for a queue of the core.
    func name(of queue: MessageQueue) -> String { queue.name.rawValue.placed(in: queue.host.name.rawValue) }

    /// True while the core has not got to a dead copy: it waits to be found, or for its body.
    private func isPending(_ copy: Copy) -> Bool {
        let number = MessageNumber(copy.number)
        if isCounted(copy) { return true }
        let isRead = core.specialLoads.values.contains { special in
            if case .death(let dying) = special.purpose { dying.entry.number == number } else { false }
        }
        return isRead
    }

    /// True while the core still counts a dead copy as ready.
    func isCounted(_ copy: Copy) -> Bool {
        let number = MessageNumber(copy.number)
        guard copy.number > 0, let queue = coreQueue(copy.queue.name) else { return false }
        if queue.entry(numbered: number) != nil { return true }
        guard copy.place > queue[UInt8(copy.priority)].cursor.rawValue else { return false }
        return !numbersGoneInBatch().contains(number)
    }

    /// What the batch that the core gathers removes, or no longer writes. The core does not change while the
    /// model takes a step, so it is gathered once a step.
    private func numbersGoneInBatch() -> Set<MessageNumber> {
        if let goneInBatch { return goneInBatch }
        let batch = core.gathering.batch
        var gone = Set(batch.removals)
        gone.formUnion(batch.spillRemovals)
        for row in batch.inserts where row.message == nil { gone.insert(row.number) }
        goneInBatch = gone
        return gone
    }

    /// How many messages a MOVE has moved that is not answered, by the core's own count.
    private func movedInCore(_ ticket: Ticket) -> Int {
        var moves = core.queues.compactMap { $0 }.flatMap(\.waitingMoves)
        moves += core.work.compactMap { work in
            switch work {
            case .move(let move): move
            case .moveFound(let found): found.move
            case .giveBack, .expire, .due, .refreshPolicies, .deleteVirtualHost: nil
            }
        }
        for case .move(let found) in core.searches.values { moves.append(found.move) }
        for special in core.specialLoads.values {
            if case .moveFound(let found, _) = special.purpose { moves.append(found.move) }
        }
        if let move = moves.first(where: { $0.ticket == ticket }) { return move.moved }
        let answers = core.gathering.answers + (core.inFlight?.answers ?? [])
        switch answers.first(where: { $0.ticket == ticket })?.answer {
        case .count(let count): return count
        case .refused(let error):
            // It begins with how many were moved before.
            return error.text.split(separator: "; ").last?.split(separator: " ").first.flatMap { Int($0) }
                ?? 0
        default: return 0
        }
    }

    private func leavingNow() -> [(SessionID, Int)] {
        defer { leaving.removeAll { $0.heldTags().isEmpty } }
        return leaving.map { ($0.id, $0.heldTags().count) }
    }

    /// Every message that was numbered in this step and can be seen anywhere.
    private func arrivals(_ takes: [Take]) -> [Arrival] {
        var found: [Int64: Arrival] = [:]
        for queue in core.queues.compactMap({ $0 }) {
            for entry in queue.priorities.flatMap({ queue[$0].entries })
            where entry.number.rawValue > numberSeen {
                guard let message = entry.message else { continue }
                found[entry.number.rawValue] = Arrival(
                    number: entry.number.rawValue, queue: name(of: queue), messageID: messageID(message),
                    deaths: modelDeaths(entry.deaths, in: queue.host.name.rawValue))
            }
        }
        let gathering = core.gathering.batch
        let from = insertsSeen.batch == gathering.number ? insertsSeen.count : 0
        for row in gathering.inserts[min(from, gathering.inserts.count)...] {
            guard let message = row.message, let queue = core.queuesByID[row.queue] else { continue }
            guard row.number.rawValue > numberSeen else { continue }
            found[row.number.rawValue] = Arrival(
                number: row.number.rawValue, queue: name(of: queue), messageID: messageID(message),
                deaths: modelDeaths(row.deaths, in: queue.host.name.rawValue))
        }
        insertsSeen = (gathering.number, gathering.inserts.count)
        for queue in core.queues.compactMap({ $0 }) {
            for entry in queue.delayed.inMemory.map(\.entry) where entry.number.rawValue > numberSeen {
                guard let message = entry.message else { continue }
                found[entry.number.rawValue] = Arrival(
                    number: entry.number.rawValue, queue: name(of: queue), messageID: messageID(message),
                    deaths: modelDeaths(entry.deaths, in: queue.host.name.rawValue))
            }
        }
        for take in takes where take.number > numberSeen {
            found[take.number] = Arrival(
                number: take.number, queue: take.queue, messageID: messageID(take.delivery.message),
                deaths: modelDeaths(take.delivery.deaths, in: take.queue.vhost))
        }
        return found.values.sorted { $0.number < $1.number }
    }

    private func mix(_ step: Step) {
        func mix(_ value: UInt64) { outputHash = (outputHash ^ value) &* 0x100_0000_01b3 }
        for take in step.takes {
            mix(take.session.rawValue)
            mix(take.tag)
            mix(UInt64(bitPattern: take.number))
        }
        for (session, ticket, _) in step.answers {
            mix(session.rawValue)
            mix(ticket.rawValue)
        }
        for arrival in step.arrivals { mix(UInt64(bitPattern: arrival.number)) }
    }
}
