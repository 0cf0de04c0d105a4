// Publishes and settlements together: checked first, then carried out in one input, so that they stand in
// one batch and are committed together or not at all.

/// What the parts of a transaction that were checked before would do.
private struct TransactionCheck {
    let host: VirtualHost
    var bytes = 0
    var arriving: [QueueSlot: (count: Int, bytes: Int)] = [:]
    var settled: Set<UInt64> = []
    var settledThrough: UInt64 = 0

    /// True where a part before settles this delivery.
    func settles(_ tag: UInt64) -> Bool { tag <= settledThrough || settled.contains(tag) }
}

extension BrokerCore {
    /// Carries out a transaction; its answer comes after the commit.
    mutating func transaction(
        _ requests: [Request], _ ticket: Ticket, _ session: Session, in host: VirtualHost, now: Instant
    ) {
        if dedupScopes > 0, mustWait(requests, in: host, now: now) {
            return wait(.transaction(requests), ticket, session, in: host, now: now)
        }
        let claims = session.takeClaims()
        do throws(BrokerError) {
            try check(requests, claims, session, in: host, now: now)
        } catch {
            return answer(session, ticket, .refused(error))
        }
        let before = gathering.durableChanges
        let lastTag = session.nextTag - 1
        isInTransaction = true
        // Publishes first: what is handed back could fill a queue that was seen to have room for them.
        var routed: [Int] = []
        for case .publish(let message, _) in requests {
            routed.append(publishUnconfirmed(message, in: host, now: now))
        }
        var loads: [UInt64] = []
        for claim in claims { loads += perform(claim.settlement, claim.tags, session, now: now) }
        for request in requests {
            if case .amend(let amendment) = request { perform(amendment, session) }
            guard case .settle(var settlement) = request else { continue }
            // "All" are those of before, not those that the publishes have just brought.
            if settlement.multiple, settlement.tag == 0 { settlement.tag = DeliveryTag(lastTag) }
            if settlement.tag != 0 { loads += perform(settlement, session, now: now) }
        }
        shrinkSeen(now: now)
        settleDying(now: now)
        isInTransaction = false
        guard loads.isEmpty else {
            let deferred = DeferredAnswer(
                session: session, ticket: ticket, answer: .committed(routed), remaining: loads.count)
            // What is rejected stands in the same batch as all else, so that batch waits until it is read.
            for load in loads {
                specialLoads[load]?.deferred = deferred
                specialLoads[load]?.holdsBatch = true
            }
            gathering.bodiesAwaited += loads.count
            return
        }
        answerDurably(session, ticket, .committed(routed), since: before)
    }

    /// Refuses a transaction of which any part would be refused.
    private mutating func check(
        _ requests: [Request], _ claims: [Claim], _ session: Session, in host: VirtualHost, now: Instant
    ) throws(BrokerError) {
        let count = requests.count + claims.count
        guard count <= limits.transactionCountMax else {
            let text = "a transaction of \(count) requests; \(limits.transactionCountMax) are allowed"
            throw BrokerError(.preconditionFailed, text)
        }
        var check = TransactionCheck(host: host)
        for claim in claims { try self.check(claim, session, &check, now: now) }
        for (place, request) in requests.enumerated() {
            do throws(BrokerError) {
                try self.check(request, session, &check, now: now)
            } catch {
                var error = error
                error.part = place
                throw error
            }
        }
    }

    private mutating func check(
        _ request: Request, _ session: Session, _ check: inout TransactionCheck, now: Instant
    ) throws(BrokerError) {
        switch request {
        case .publish(let message, let mandatory):
            if let refusal = refusal(of: message, from: session) { throw refusal }
            try add(message.bulk, to: &check)
            try checkRoom(for: message, mandatory: mandatory, &check, now: now)
        case .settle(let settlement):
            if let refusal = refusal(of: settlement, session) { throw refusal }
            let tag = settlement.tag.rawValue
            guard tag == 0 || !check.settles(tag) else {
                let text = "delivery tag \(tag) is settled twice in this transaction; nothing was done"
                throw BrokerError(.preconditionFailed, text)
            }
            let tags = session.tags(of: settlement).filter { !check.settles($0) }
            try add(deadLetterBytes(settlement.outcome, of: tags, session, now: now), to: &check)
            if settlement.multiple {
                check.settledThrough = max(check.settledThrough, tag == 0 ? .max : tag)
            } else {
                check.settled.insert(tag)
            }
        case .amend(let amendment):
            let tag = amendment.tag.rawValue
            guard !check.settles(tag) else {
                let text =
                    "delivery tag \(tag) is settled in this transaction before it is amended; nothing was done"
                throw BrokerError(.preconditionFailed, text)
            }
            if let refusal = refusal(of: amendment, session) { throw refusal }
        default:
            throw BrokerError(
                .commandInvalid, "only publishes and settlements can be part of a transaction")
        }
    }

    /// What was left to the transaction may have gone back since: a lease has ended.
    private func check(
        _ claim: Claim, _ session: Session, _ check: inout TransactionCheck, now: Instant
    ) throws(BrokerError) {
        for tag in claim.tags {
            if let refusal = refusal(of: Settlement(.ack, DeliveryTag(tag)), session) { throw refusal }
        }
        try add(deadLetterBytes(claim.settlement.outcome, of: claim.tags, session, now: now), to: &check)
        check.settled.formUnion(claim.tags)
    }

    private func add(_ bytes: Int, to check: inout TransactionCheck) throws(BrokerError) {
        check.bytes += bytes
        guard check.bytes > limits.transactionBytesMax else { return }
        let text = "a transaction of over \(limits.transactionBytesMax) bytes; commit in smaller parts"
        throw BrokerError(.preconditionFailed, text)
    }

    private mutating func checkRoom(
        for message: Message, mandatory: Bool, _ check: inout TransactionCheck, now: Instant
    ) throws(BrokerError) {
        let host = check.host
        let slots = try host.topology.destinations(of: message)
        if slots.isEmpty, mandatory {
            throw BrokerError(
                .noRoute, "exchange '\(message.exchange)' routes key '\(message.routingKey)' to no queue")
        }
        guard !message.isDelayed else { return }
        var takers = slots
        if deduplicates(message.exchange, in: host, slots) {
            _ = try dedupID(of: message)
            guard slots.contains(where: { mayReject($0) }) else { return }
            guard case .publish(_, let queues) = try verdict(on: message, in: host, slots, now: now)
            else { return }
            takers = queues
        }
        for slot in takers where mayReject(slot) {
            guard let queue = queue(at: slot) else { continue }
            let before = check.arriving[slot, default: (0, 0)]
            let after = (count: before.count + 1, bytes: before.bytes + message.body.count)
            guard !isFull(queue, forBytes: after.bytes, messages: after.count) else {
                throw .fullInTransaction(queue.name)
            }
            check.arriving[slot] = after
        }
    }

    private func mayReject(_ slot: QueueSlot) -> Bool { queue(at: slot)?.settings.overflow != .dropHead }

    /// Publishes a message whose safety is the transaction's. Returns how many queues took it.
    private mutating func publishUnconfirmed(
        _ message: Message, in host: VirtualHost, now: Instant
    ) -> Int {
        // Checked before: what can't be routed was refused.
        guard let route = try? host.topology.route(message) else { return 0 }
        totals.published += 1
        publishRate.mark(1, now: now)
        if route.queues.isEmpty { totals.unroutable += 1 }
        var queues = route.queues
        var id: String?
        if !queues.isEmpty, deduplicates(message.exchange, in: host, queues),
            let verdict = try? verdict(on: message, in: host, queues, now: now)
        {
            var left: [QueueSlot] = []
            if case .publish(let own, let new) = verdict { (id, left) = (own, new) }
            noteDoubles(queues.count - left.count, among: queues, except: left, now: now)
            queues = left
        }
        let message = message.withoutBlindCopies()
        spread(
            message, over: queues, confirm: .none,
            durable: queues.count { slot in
                queue(at: slot).map { isStoredDurably(message, in: $0) } ?? false
            },
            id: id, now: now)
        claim(id, at: message.exchange, in: host, now: now)
        return queues.count
    }
}

extension BrokerError {
    /// What a transaction hears of a queue that would refuse a part of it.
    static func fullInTransaction(_ queue: QueueName) -> BrokerError {
        var error = full(queue)
        error.text += "; nothing was done"
        return error
    }
}
