// Policies come and go, and the queues they match change their ways while they are in use, some at a time.

import DequeModule

/// The queues look at the policies again, over several slices.
final class PolicyRefresh {
    let session: Session
    let ticket: Ticket
    var next = 0

    init(session: Session, ticket: Ticket) {
        self.session = session
        self.ticket = ticket
    }
}

extension BrokerCore {
    /// Sets or replaces a policy; answered once it is durable and every queue obeys it.
    mutating func setPolicy(_ policy: Policy, _ ticket: Ticket, _ session: Session, now: Instant) {
        do throws(BrokerError) {
            let active = try ActivePolicy(policy)
            policies.removeAll { $0.policy.name == policy.name && $0.policy.isOperator == policy.isOperator }
            guard policies.count < limits.policiesMax else {
                let text = "there are \(policies.count) policies, as many as there may be"
                throw BrokerError(.resourceError, text)
            }
            add(active)
            gathering.define(.putPolicy(policy))
            refresh(PolicyRefresh(session: session, ticket: ticket), now: now)
        } catch {
            answer(session, ticket, .refused(error))
        }
    }

    /// Removes a policy, if it is there.
    mutating func deletePolicy(
        _ name: String, isOperator: Bool, _ ticket: Ticket, _ session: Session, now: Instant
    ) {
        let count = policies.count
        policies.removeAll { $0.policy.name == name && $0.policy.isOperator == isOperator }
        guard policies.count < count else {
            return answerOnceCommitted(session, ticket, .done, latestDefinitions)
        }
        gathering.define(.deletePolicy(name, isOperator: isOperator))
        refresh(PolicyRefresh(session: session, ticket: ticket), now: now)
    }

    /// Keeps the policies in the order in which they count.
    mutating func add(_ policy: ActivePolicy) {
        func comesBefore(_ other: Policy) -> Bool {
            let own = policy.policy
            return own.priority != other.priority ? own.priority > other.priority : own.name < other.name
        }
        let place = policies.firstIndex { comesBefore($0.policy) } ?? policies.count
        policies.insert(policy, at: place)
    }

    /// The policy and the operator policy that count for a queue.
    func policies(for name: QueueName) -> (policy: Policy?, operatorPolicy: Policy?) {
        // What the broker keeps for itself is nobody's to change.
        guard !policies.isEmpty, !name.rawValue.hasPrefix("leveret.") else { return (nil, nil) }
        func first(_ isOperator: Bool) -> Policy? {
            policies.first {
                $0.policy.isOperator == isOperator && $0.pattern.matches(name.rawValue)
            }?.policy
        }
        return (first(false), first(true))
    }

    /// Lets a slice of the queues look at the policies again; answers after the last.
    mutating func refresh(_ refresh: PolicyRefresh, now: Instant) {
        let end = min(refresh.next + limits.policySliceCount, queues.count)
        var changed: [MessageQueue] = []
        for case .some(let queue) in queues[refresh.next..<end] {
            if applyPolicies(to: queue, now: now) { changed.append(queue) }
        }
        for queue in changed { settingsChanged(queue, now: now) }
        settleDying(now: now)
        refresh.next = end
        guard end == queues.count else { return work.append(.refreshPolicies(refresh)) }
        gathering.answers.append(
            WaitingAnswer(session: refresh.session, ticket: refresh.ticket, answer: .done))
        gathering.isAwaited = true
        gathering.wants(.now)
    }

    /// Sees which policies count for a queue. Returns whether its settings are others now.
    mutating func applyPolicies(to queue: MessageQueue, isNew: Bool = false, now: Instant) -> Bool {
        let (policy, operatorPolicy) = policies(for: queue.name)
        guard policy != queue.policy || operatorPolicy != queue.operatorPolicy else { return false }
        queue.policy = policy
        queue.operatorPolicy = operatorPolicy
        let effective = EffectiveArguments(queue.definition.arguments, policy, operatorPolicy)
        // Each part was checked when it was set: together they may contradict each other, and then it is lenient.
        guard effective.arguments != queue.arguments,
            let settings = try? QueueSettings(effective: effective.arguments, of: queue.definition)
        else { return false }
        queue.arguments = effective.arguments
        let before = queue.settings.deduplication
        queue.settings = settings
        chooseMarks(of: queue)
        queue.lastUsed = now
        if before != settings.deduplication { deduplicationChanged(queue, from: before, isNew: isNew) }
        return true
    }

    /// What follows from other settings for what is in the queue already.
    private mutating func settingsChanged(_ queue: MessageQueue, now: Instant) {
        guard !queue.isDeleted else { return }
        if let timeout = queue.settings.consumerTimeoutMilliseconds {
            for session in connections.flatMap(\.sessions) where session.heldCount > 0 {
                session.shortestLease = min(session.shortestLease, timeout)
                checkLeases(of: session, at: now)
            }
        }
        queue.armed = .distantFuture
        arm(queue)
        enforceLength(of: queue, now: now)
        dispatch(queue, now: now)
    }

    private mutating func deduplicationChanged(
        _ queue: MessageQueue, from before: Deduplication?, isNew: Bool
    ) {
        // What it has seen it still knows when it deduplicates again.
        if before != nil {
            dedupScopes -= 1
            queue.hasDeduplicated = true
        }
        switch queue.settings.deduplication {
        case .window?:
            dedupScopes += 1
            if !isNew { seenIDs.mayBeStored(.queue(queue.id), until: idsEnd) }
        case .whileQueued?:
            dedupScopes += 1
            if !isNew { seenIDs.mayBeStored(.queue(queue.id), until: .distantFuture) }
        case nil: break
        }
    }

    /// The policies, as they count, and how many queues each counts for.
    func policyInfos(matching glob: Glob?) -> [PolicyInfo] {
        policies.filter { glob?.matches($0.policy.name) ?? true }.map { active in
            let count = queues.count { queue in
                queue?.policy == active.policy || queue?.operatorPolicy == active.policy
            }
            return PolicyInfo(policy: active.policy, queues: count)
        }
    }
}
