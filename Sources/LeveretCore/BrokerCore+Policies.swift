// Policies come and go, and the queues and exchanges they match change their ways while they are in use, some at a
// time.

import DequeModule

/// Those queues and exchanges look at the policies again that a changed one is for, over several slices.
final class PolicyRefresh {
    /// As it was, and as it is.
    let changed: [ActivePolicy]
    let host: VirtualHost
    let session: Session
    let ticket: Ticket
    var next = 0
    var nextExchange = 0

    init(_ changed: [ActivePolicy], session: Session, ticket: Ticket) {
        self.changed = changed
        host = session.host
        self.session = session
        self.ticket = ticket
    }
}

extension BrokerCore {
    /// Sets or replaces a policy; answered once it is durable and everything that it matches obeys it.
    mutating func setPolicy(_ policy: Policy, _ ticket: Ticket, _ session: Session, now: Instant) {
        do throws(BrokerError) {
            let active = try ActivePolicy(policy)
            let host = session.host
            let replaced = host.takePolicy(policy.name, isOperator: policy.isOperator)
            let count = virtualHosts.reduce(0) { $0 + $1.policies.count }
            guard count < limits.policiesMax else {
                let text = "there are \(count) policies, as many as there may be"
                throw BrokerError(.resourceError, text)
            }
            host.add(active)
            gathering.define(.putPolicy(policy, in: host.id))
            refresh(PolicyRefresh(replaced + [active], session: session, ticket: ticket), now: now)
        } catch {
            answer(session, ticket, .refused(error))
        }
    }

    /// Removes a policy, if it is there.
    mutating func deletePolicy(
        _ name: String, isOperator: Bool, _ ticket: Ticket, _ session: Session, now: Instant
    ) {
        let gone = session.host.takePolicy(name, isOperator: isOperator)
        guard !gone.isEmpty else {
            return answerOnceCommitted(session, ticket, .done, latestDefinitions)
        }
        gathering.define(.deletePolicy(name, isOperator: isOperator, in: session.host.id))
        refresh(PolicyRefresh(gone, session: session, ticket: ticket), now: now)
    }

    /// Lets a slice of the queues, then of the exchanges, look at the policies again; answers after the last.
    mutating func refresh(_ refresh: PolicyRefresh, now: Instant) {
        let host = refresh.host
        guard !host.isDeleted else { return answer(refresh.session, refresh.ticket, .done) }
        let end = min(refresh.next + limits.policySliceCount, queues.count)
        let room = limits.policySliceCount - (end - refresh.next)
        var changed: [MessageQueue] = []
        for case .some(let queue) in queues[refresh.next..<end]
        where queue.host === host && refresh.changed.contains(where: { $0.matches(queue.definition) }) {
            if applyPolicies(to: queue, now: now) { changed.append(queue) }
        }
        for queue in changed { settingsChanged(queue, now: now) }
        settleDying(now: now)
        refresh.next = end
        let endExchange = min(refresh.nextExchange + room, host.topology.states.count)
        for case .some(let exchange) in host.topology.states[refresh.nextExchange..<endExchange]
        where refresh.changed.contains(where: { $0.matches(exchange.definition) }) {
            applyPolicies(to: exchange, in: host)
        }
        refresh.nextExchange = endExchange
        guard end == queues.count, endExchange == host.topology.states.count else {
            return work.append(.refreshPolicies(refresh))
        }
        gathering.answers.append(
            WaitingAnswer(session: refresh.session, ticket: refresh.ticket, answer: .done))
        gathering.isAwaited = true
        gathering.wants(.now)
    }

    /// Sees which policies count for a queue. Returns whether its settings are others now.
    mutating func applyPolicies(to queue: MessageQueue, isNew: Bool = false, now: Instant) -> Bool {
        let (policy, operatorPolicy) = queue.host.policies.counting { $0.matches(queue.definition) }
        guard policy != queue.policy || operatorPolicy != queue.operatorPolicy else { return false }
        queue.policy = policy
        queue.operatorPolicy = operatorPolicy
        let effective = EffectiveArguments(
            queue.definition.arguments, of: .queue, policy, operatorPolicy)
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

    /// Sees which policies count for an exchange that has just come.
    mutating func settle(exchange name: ExchangeName, in host: VirtualHost) {
        guard let exchange = host.topology.state(of: name) else { return }
        noteDeduplication(of: name, in: host, for: exchange.settings.deduplicationMilliseconds)
        if !host.policies.isEmpty { applyPolicies(to: exchange, in: host) }
    }

    /// Sees which policies count for an exchange, and what follows from that.
    private mutating func applyPolicies(to exchange: ExchangeState, in host: VirtualHost) {
        let (policy, operatorPolicy) = host.policies.counting { $0.matches(exchange.definition) }
        guard policy != exchange.policy || operatorPolicy != exchange.operatorPolicy else { return }
        exchange.policy = policy
        exchange.operatorPolicy = operatorPolicy
        let effective = EffectiveArguments(
            exchange.definition.arguments, of: .exchange, policy, operatorPolicy)
        guard effective.arguments != exchange.arguments,
            let settings = try? ExchangeSettings(effective: effective.arguments, of: exchange.definition)
        else { return }
        exchange.obey(effective.arguments, settings)
        host.topology.forgetRoutes()
        noteDeduplication(of: exchange.definition.name, in: host, for: settings.deduplicationMilliseconds)
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

    /// The policies of a virtual host, as they count, and how many queues and exchanges each counts for.
    func policyInfos(in host: VirtualHost, matching glob: Glob?) -> [PolicyInfo] {
        host.policies.filter { glob?.matches($0.policy.name) ?? true }.map { active in
            let count = queues.count { queue in
                guard let queue, queue.host === host else { return false }
                return queue.policy == active.policy || queue.operatorPolicy == active.policy
            }
            let exchanges = host.topology.states.count { exchange in
                exchange?.policy == active.policy || exchange?.operatorPolicy == active.policy
            }
            return PolicyInfo(policy: active.policy, queues: count, exchanges: exchanges)
        }
    }
}

extension VirtualHost {
    /// Keeps the policies in the order in which they count.
    func add(_ policy: ActivePolicy) {
        let place = policies.firstIndex { policy.comesBefore($0) } ?? policies.count
        policies.insert(policy, at: place)
    }

    /// Takes the policy of this name away; empty where there is none.
    func takePolicy(_ name: String, isOperator: Bool) -> [ActivePolicy] {
        func isMeant(_ active: ActivePolicy) -> Bool {
            active.policy.name.hasSameBytes(as: name) && active.policy.isOperator == isOperator
        }
        defer { policies.removeAll(where: isMeant) }
        return policies.filter(isMeant)
    }
}
