// What would take too long under one hold of the lock, done slice by slice.

import DequeModule

/// Something that goes on over several inputs.
enum LongWork {
    /// What a closed session held goes back.
    case giveBack(Session)
    /// A crowd of messages expires at once.
    case expire(MessageQueue)
    /// A crowd of delayed messages is due at once.
    case due(MessageQueue)
    /// A MOVE.
    case move(MoveInProgress)
    /// A MOVE of what meets a condition.
    case moveFound(FoundMove)
    /// Queues of a virtual host that is deleted.
    case deleteVirtualHost(VirtualHostDeletion)
    /// Queues look at changed policies.
    case refreshPolicies(PolicyRefresh)
}

extension BrokerCore {
    /// True where a slice of long work would not make the next commit too long.
    public var hasRoomForWork: Bool { !isUnderPressure && gathering.slices < limits.slicesPerBatch }

    /// Does one slice of long work. Call again, letting go of the lock in between, while `hasMoreWork`; best only
    /// while `hasRoomForWork`.
    public mutating func continueWork(now: Instant) {
        guard let next = work.popFirst() else { return }
        defer { noteSlice() }
        switch next {
        case .giveBack(let session):
            if giveBackSlice(of: session, now: now) { work.append(next) }
        case .expire(let queue):
            if !queue.isDeleted, expireDue(queue, now: now) { work.append(next) } else { arm(queue) }
        case .due(let queue):
            queue.isTakingDue = false
            if !queue.isDeleted { takeDueSlices(queue, now: now) }
            arm(queue)
        case .move(let move):
            moveSlice(move, now: now)
        case .moveFound(let move):
            moveFoundSlice(move, now: now)
        case .deleteVirtualHost(let deletion):
            deleteSlice(deletion, now: now)
        case .refreshPolicies(let progress):
            refresh(progress, now: now)
        }
        settleDying(now: now)
    }

    /// What waits for the next batch should not wait for company.
    private mutating func noteSlice() {
        guard gathering.hasChanges else { return }
        gathering.slices += 1
        if !hasRoomForWork, !work.isEmpty { gathering.wants(.now) }
    }

    /// Hands back a part of what a closed session held. Returns true when there is more.
    mutating func giveBackSlice(of session: Session, now: Instant) -> Bool {
        var queues: [MessageQueue] = []
        for tag in session.heldTags(countMax: limits.sliceCount) {
            guard let held = session.release(tag) else { continue }
            if session.isComingBack { held.queue.comingBack -= 1 }
            giveBack(held, counted: true, now: now)
            if !queues.contains(where: { $0 === held.queue }) { queues.append(held.queue) }
        }
        for queue in queues { returned(to: queue, now: now) }
        return session.heldCount > 0
    }
}
