// What of the core's delayed messages is shown to the model.

@testable import LeveretCore

extension Call {
    /// The one message that it is about.
    var singled: Int64? {
        switch self {
        case .cancelMessage(_, let position), .edit(_, let position, _, _, _): position
        default: nil
        }
    }
}

extension Simulator {
    /// Copies that the core was seen to let wait no longer, in the order in which it did, and where they stand.
    func noLongerDelayed() -> [(copy: Copy, place: Int64?)] {
        var found: [(copy: Copy, place: Int64?)] = []
        let first = dueSlices.compactMap { model.queue($0.queue) }
        for queue in first + model.queues.filter({ queue in !first.contains { $0 === queue } }) {
            guard let other = coreQueue(queue.name) else {
                // It was deleted when its timer fired, after what was due had come in.
                let due = dueSlices.first { $0.queue == queue.name }?.numbers ?? []
                found += queue.delayed.filter { due.contains($0.number) }.map { ($0, nil) }
                continue
            }
            let soon = Set(other.delayed.inMemory.map(\.entry.number.rawValue))
            for copy in queue.delayed {
                let key = DueKey(Instant(milliseconds: copy.due ?? 0), MessageNumber(copy.number))
                if soon.contains(copy.number) || other.delayed.cursor < key { continue }
                // A change that has been made by now is told to the model in this step only.
                if copy.number == singled { continue }
                if model.pendingChanges.contains(where: { $0.position == copy.number }) { continue }
                found.append((copy, place(of: copy, in: other)))
            }
        }
        return found
    }

    /// Notes what the queues bring in at once if their timers fire now.
    func noteDueSlices() {
        let queues = core.queues.compactMap { $0 }.sorted { ($0.armed, $0.id) < ($1.armed, $1.id) }
        for queue in queues where !queue.isTakingDue && queue.armed.milliseconds <= now {
            let due = queue.delayed.inMemory.filter { $0.due.milliseconds <= now }.sorted()
            dueSlices.append(
                (name(of: queue), due.prefix(core.limits.sliceCount).map(\.entry.number.rawValue)))
        }
    }

    private func place(of copy: Copy, in queue: MessageQueue) -> Int64? {
        let number = MessageNumber(copy.number)
        if let entry = queue.entry(numbered: number) { return entry.place.rawValue }
        for session in core.connections.flatMap(\.sessions) {
            for held in session.held.compactMap({ $0 }) where held.entry.number == number {
                return held.entry.place.rawValue
            }
            for held in session.handingOver where held.entry.number == number {
                return held.entry.place.rawValue
            }
        }
        let row = core.gathering.batch.inserts.last { $0.number == number && $0.message != nil }
        let place = core.gathering.places[number]?.place ?? row?.place
        // What has died is written down as delayed until it is removed.
        return place.flatMap { $0 == 0 ? nil : abs($0.rawValue) }
    }

    func isBeingPurged(_ copy: Copy) -> Bool {
        let ranges = core.gathering.batch.ranges + (core.inFlight?.batch.ranges ?? [])
        return ranges.contains {
            $0.queue == copy.queue.storedID && $0.after.rawValue < copy.place
                && copy.place <= $0.through.rawValue
        }
    }

    /// Where a copy stands that an edit has just made ready.
    func placeInCore(_ copy: Copy) -> Int64? {
        coreQueue(copy.queue.name).flatMap { place(of: copy, in: $0) }
    }

    /// Until when the core makes a copy wait that has just come back.
    func dueInCore(_ copy: Copy) -> Int64? {
        guard let queue = coreQueue(copy.queue.name) else { return nil }
        let number = MessageNumber(copy.number)
        if let delayed = queue.delayed.inMemory.first(where: { $0.entry.number == number }) {
            return delayed.due.milliseconds
        }
        if queue.entry(numbered: number) != nil { return nil }
        if let update = core.gathering.places[number] { return update.due?.milliseconds }
        return core.gathering.batch.inserts.last { $0.number == number && $0.message != nil }?.due?
            .milliseconds
    }
}
