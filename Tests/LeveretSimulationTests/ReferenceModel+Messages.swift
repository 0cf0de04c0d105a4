// A message's way through a queue: in, out to a consumer, back, and to its death.

import LeveretCore

extension ReferenceModel {
    // MARK: - In

    /// A copy enters a queue. Where it was not seen to arrive, a rule must have removed it at once.
    @discardableResult
    func append(_ message: ModelMessage, to queue: ModelQueue, deaths: [ModelDeath]) throws -> Copy {
        let copy = Copy(
            message, queue: queue, number: 0, entered: now, expires: expiry(of: message, in: queue),
            deaths: deaths)
        if let seen = arrival(of: message, in: queue, deaths) {
            copy.number = arrivals.remove(at: seen).number
        }
        copy.place = copy.number
        if copy.number > 0 {
            try require(
                copy.number > queue.highest, "message \(message.id) came into \(queue.name) out of turn")
            queue.highest = copy.number
            written[copy.number] = copy
        }
        queue.add(copy)
        try dispatch(queue)
        if copy.state == .ready, copy.expires <= now { remove(copy, to: .expired) }
        if copy.state == .ready, copy.number == 0 { try overtake(copy) }
        enforceLength(of: queue)
        return copy
    }

    /// Where among the arrivals a copy is that enters the queue next. If something else did, it was removed at
    /// once, and one like it that comes later is another.
    private func arrival(of message: ModelMessage, in queue: ModelQueue, _ deaths: [ModelDeath]) -> Int? {
        let next = arrivals.firstIndex { $0.queue == queue.name }
        return next.flatMap {
            arrivals[$0].messageID == message.id && arrivals[$0].deaths == deaths ? $0 : nil
        }
    }

    /// When a message that comes in now expires.
    func expiry(of message: ModelMessage, in queue: ModelQueue) -> Int64 {
        var ttl = queue.ttl
        if let own = message.expiration.flatMap({ Int64($0) }) { ttl = min(ttl ?? own, own) }
        return ttl.map { now + $0 } ?? .max
    }

    /// A copy was dropped in the same step that it came in. Then all that would have been delivered before it was
    /// dropped too.
    private func overtake(_ copy: Copy) throws {
        let queue = copy.queue
        try require(
            queue.isLimited, "message \(copy.message.id) should be in \(queue.name) and never arrived")
        for old in queue.ready.prefix(while: { $0 !== copy })
        where old.number <= highestNumber && !isMoving(old) {
            remove(old, to: .maxlen)
        }
        remove(copy, to: .maxlen)
        // It was in the queue, if not for long.
        queue.wasEmpty = false
    }

    func isFull(_ queue: ModelQueue, for message: ModelMessage) -> Bool {
        isFull(queue, forBytes: message.size, messages: 1)
    }

    /// True where so many more messages of so many bytes are too much for a queue that rejects publishes.
    func isFull(_ queue: ModelQueue, forBytes more: Int, messages: Int) -> Bool {
        guard queue.overflow != .dropHead else { return false }
        // What is dead and was not found yet counts.
        let dead = isExact ? queue.condemned.filter { isCounted($0) } : []
        let bytes = queue.readyBytes + dead.reduce(0) { $0 + $1.message.size }
        let count = queue.ready.count + dead.count
        if messages > 0, let most = queue.lengthMax, count + messages > most { return true }
        if let most = queue.bytesMax, bytes + more > most { return true }
        return false
    }

    /// Drops from the head for as long as the queue holds more than it may.
    func enforceLength(of queue: ModelQueue) {
        while queue.isOverfull, let head = queue.ready.first { remove(head, to: .maxlen) }
    }

    // MARK: - Out

    private func reads(_ session: ModelSession) -> Bool { session.undrainedBytes < limits.outgoingBytesMax }

    private func hasCredit(_ session: ModelSession) -> Bool {
        let bytes = session.held.reduce(0) { $0 + $1.copy.message.size }
        return reads(session) && session.held.count < limits.unackedCountMax && bytes < limits.unackedBytesMax
    }

    func hasCredit(_ consumer: ModelConsumer) -> Bool {
        let session = consumer.session
        let counted = session.held.count { $0.consumer != nil }
        return (consumer.prefetch == 0 || consumer.unacked < consumer.prefetch) && hasCredit(session)
            && (session.prefetch == 0 || counted < session.prefetch)
    }

    /// True where the consumer may be handed a message of its queue.
    private func mayTake(_ consumer: ModelConsumer) -> Bool {
        let queue = consumer.queue
        guard !queue.isPaused, hasCredit(consumer) else { return false }
        guard queue.isSingleActive else { return true }
        // Whoever was active before has nothing left.
        return consumer === queue.active
            && !(sessions + leaving).flatMap(\.held).contains {
                $0.copy.queue === queue && $0.consumer != nil && $0.consumer !== consumer
            }
    }

    /// Who should have got the message at the head of a queue.
    func waiting(at queue: ModelQueue) -> String? {
        if queue.isPaused { return nil }
        if queue.gets.contains(where: { reads($0.session) }) { return "a GET" }
        return queue.consumers.first { mayTake($0) }?.tag
    }

    /// Hands the head to whom the core was seen to hand it, as long as it was.
    func dispatch(_ queue: ModelQueue) throws {
        while !takes.isEmpty, let head = queue.ready.first {
            let index = takes.firstIndex {
                $0.queue == queue.name && $0.number == head.number
                    && $0.delivery.deliveries == head.acquired + 1
            }
            guard let index else { return }
            let isNext = !takes[..<index].contains { $0.session == takes[index].session }
            guard isNext, mayTake(takes[index], queue) else { return }
            try hand(head, takes.remove(at: index), queue)
        }
    }

    /// What was seen may be about to happen: the input may first have to make room for it.
    private func mayTake(_ take: Take, _ queue: ModelQueue) -> Bool {
        if queue.isPaused { return false }
        if let ticket = take.ticket {
            return queue.gets.contains { $0.ticket == ticket && hasCredit($0.session) }
        }
        return queue.consumers.contains {
            $0.session.id == take.session && $0.tag == take.consumer && mayTake($0)
        }
    }

    func dispatchAll() throws {
        var left = Int.max
        while takes.count < left, !takes.isEmpty {
            left = takes.count
            for queue in queues { try dispatch(queue) }
        }
    }

    /// The queues in the order in which the message was seen to arrive.
    func inOrderSeen(
        _ reached: [ModelQueue], _ message: ModelMessage, _ deaths: [ModelDeath] = []
    ) -> [ModelQueue] {
        func number(_ queue: ModelQueue) -> Int64 {
            arrival(of: message, in: queue, deaths).map { arrivals[$0].number } ?? 0
        }
        return reached.count < 2 ? reached : reached.sorted { number($0) < number($1) }
    }

    private func hand(_ copy: Copy, _ take: Take, _ queue: ModelQueue) throws {
        guard let session = session(take.session) else {
            throw Violation("message \(copy.message.id) was handed to a session that is closed")
        }
        queue.ready.removeFirst()
        var consumer: ModelConsumer?
        if let ticket = take.ticket {
            guard let index = queue.gets.firstIndex(where: { $0.ticket == ticket }) else {
                throw Violation("ticket \(ticket.rawValue) is no GET that waits at \(queue.name)")
            }
            let get = queue.gets.remove(at: index)
            queue.lastUsed = now
            try require(get.autoAck == take.autoAck, "a GET of \(queue.name) changed its acknowledgement")
            let most = queue.ready.count + queue.condemned.count
            let remaining = take.remaining ?? 0
            try require(
                remaining >= queue.ready.count && (remaining <= most || !isExact),
                "a GET of \(queue.name) says \(remaining) remain; it is \(queue.ready.count)")
            expected[ticket] = nil
        } else {
            guard
                let found = queue.consumers.first(where: { $0.session === session && $0.tag == take.consumer }
                )
            else { throw Violation("\(queue.name) has no consumer \(take.consumer ?? "?")") }
            checkFairness(found, queue)
            consumer = found
        }
        session.undrainedBytes += copy.message.size + 64
        copy.acquired += 1
        try check(take.delivery, copy)
        if take.autoAck {
            copy.state = .handing
            session.handing.append(copy)
        } else {
            copy.state = .unacked
            let place = session.held.firstIndex { $0.tag > take.tag } ?? session.held.count
            let isFirst = consumer?.countsFirst == true || isCountedSinceRestart(copy)
            let held = ModelHeld(
                tag: take.tag, copy: copy, consumer: consumer, since: now, isCountedFirst: isFirst)
            session.held.insert(held, at: place)
            session.heldMost = max(session.heldMost, session.held.count)
        }
    }

    /// What a restart found and might end the broker again and again.
    private func isCountedSinceRestart(_ copy: Copy) -> Bool {
        let queue = copy.queue
        return copy.isRevived && !isAlarmed && (queue.deliveryLimit != nil || queue.retryType != "disabled")
    }

    /// Notes who should have been preferred; whoever still has credit at the end of the step really should.
    private func checkFairness(_ chosen: ModelConsumer, _ queue: ModelQueue) {
        guard queue.consumers.count > 1, !queue.isSingleActive else { return }
        let unacked = chosen.unacked
        for other in queue.consumers where other !== chosen && hasCredit(other) {
            let holdsLess = other.priority == chosen.priority && other.unacked < unacked
            if holdsLess || other.priority > chosen.priority { passedOver.append(other) }
        }
    }

    private func check(_ delivery: Delivery, _ copy: Copy) throws {
        let message = delivery.message
        let name = "message \(copy.message.id) in \(copy.queue.name)"
        if let what = contentDiffers(message, from: copy.message) {
            throw Violation("\(name) was delivered with another \(what)")
        }
        try require(
            delivery.deliveries == copy.acquired,
            "\(name): \(delivery.deliveries) deliveries, not \(copy.acquired)")
        try require(
            delivery.failed == copy.failed, "\(name): \(delivery.failed) failures, not \(copy.failed)")
        try require(
            modelDeaths(delivery.deaths, in: copy.queue.name.vhost) == copy.deaths,
            "\(name): another history of deaths")
    }

    // MARK: - Back

    /// Held copies return to their places; a queue that gets too long by that drops its head.
    func giveBack(
        _ copies: [Copy], counted: Bool, isSettled: Bool = false, delay: Int64? = nil
    ) throws {
        for copy in copies { try giveBack(copy, counted: counted, isSettled: isSettled, asked: delay) }
        for queue in queues where copies.contains(where: { $0.queue === queue }) { enforceLength(of: queue) }
    }

    private func giveBack(_ copy: Copy, counted: Bool, isSettled: Bool, asked: Int64?) throws {
        guard !copy.queue.isDeleted else { return settle(copy) }
        if counted { copy.failed += 1 }
        if let limit = copy.queue.deliveryLimit, copy.failed > limit { return condemn(copy, .deliveryLimit) }
        if copy.expires <= now { return condemn(copy, .expired) }
        if try isRetriedLater(copy, counted: counted, isSettled: isSettled, asked: asked) { return }
        copy.state = .ready
        copy.queue.putBack(copy)
    }

    // MARK: - Gone

    /// A copy is done and safe.
    func settle(_ copy: Copy) {
        copy.state = .gone
        copy.fate = .settled
    }

    func remove(_ copy: Copy, to reason: DeathReason) {
        copy.queue.ready.removeAll { $0 === copy }
        condemn(copy, reason)
    }

    /// A copy is dead: it may have to be read before it goes on, and is never shown again.
    func condemn(_ copy: Copy, _ reason: DeathReason) {
        copy.state = .condemned(reason)
        copy.diedInStep = steps
        if copy.isKnownByID { copy.queue.knownDead.append(copy) }
        copy.isDropped = copy.queue.deadLetterExchange == nil
        if copy.isDropped {
            copy.fate = .settled
            if copy.number == 0 || (!copy.isDurable && !isCounted(copy)) { return }
        }
        copy.queue.condemned.append(copy)
    }

    /// What has expired by now is dead, wherever it stands.
    func expire() {
        for queue in queues {
            for copy in queue.ready where copy.expires <= now { remove(copy, to: .expired) }
        }
    }

    /// The core was seen to bring these in; they must be dead letters or messages that were moved.
    func explainArrivals() throws {
        try explainMoves()
        while let arrival = arrivals.min(by: { $0.number < $1.number }) {
            if let dead = dead(behind: arrival) {
                if let death = arrival.deaths.first { dead.state = .condemned(death.reason) }
                try transfer(dead)
            } else if try !sendUnseen(), try !sendStray(behind: arrival) {
                throw Violation(
                    "message \(arrival.messageID) came into \(arrival.queue) as \(arrival.number) for no reason, "
                        + "with the history \(arrival.deaths)")
            }
        }
        while try sendUnseen() {}
    }

    /// Sends the first dead copy on that has left the core and was not seen to arrive anywhere: wherever it
    /// went, it must have been removed by rule at once.
    func sendUnseen() throws -> Bool {
        for copy in queues.flatMap(\.condemned) + strays where !copy.isDropped {
            // With its queue, a dead message may go before it was read.
            guard !copy.queue.isDeleted, !isPending(copy),
                !arrivals.contains(where: { dead(behind: $0) === copy })
            else { continue }
            try transfer(copy)
            return true
        }
        return false
    }

    /// Sends a dead copy on whose queue is gone, which must have been read before that.
    private func sendStray(behind arrival: Arrival) throws -> Bool {
        let stray = strays.first { stray in
            guard !stray.isDropped, case .condemned(let reason) = stray.state else { return false }
            let history = deaths(of: stray, reason)
            return stray.message.id == arrival.messageID && history == arrival.deaths.suffix(history.count)
        }
        guard let stray else { return false }
        try transfer(stray)
        return true
    }

    func dead(behind arrival: Arrival) -> Copy? {
        guard let death = arrival.deaths.first else { return nil }
        // A queue that was deleted since may still have had messages on their way.
        let waiting = (queues.flatMap(\.condemned) + strays).filter { !$0.isDropped }
        let alike = waiting.filter {
            $0.message.id == arrival.messageID && $0.queue.name == death.queue
                && ($0.state == .condemned(death.reason) || $0.isDeadSinceRestart)
                && deaths(of: $0, death.reason) == arrival.deaths
                && !isCycle(arrival.deaths, at: arrival.queue, death.reason)
        }
        return alike.first { !isPending($0) } ?? alike.first
    }

    /// The history of a copy that dies for this reason.
    func deaths(of copy: Copy, _ reason: DeathReason) -> [ModelDeath] {
        let keys = [copy.message.key] + copy.message.cc
        var death = ModelDeath(
            queue: copy.queue.name, reason: reason, count: 1, exchange: copy.message.exchange, keys: keys,
            originalExpiration: copy.message.expiration)
        var others = copy.deaths
        if let index = others.firstIndex(where: { $0.queue == death.queue && $0.reason == reason }) {
            death = others.remove(at: index)
            death.count += 1
        }
        return [death] + others
    }

    /// Sends a dead copy on.
    func transfer(_ copy: Copy) throws {
        guard case .condemned(let reason) = copy.state, let exchange = copy.queue.deadLetterExchange else {
            return
        }
        copy.queue.condemned.removeAll { $0 === copy }
        strays.removeAll { $0 === copy }
        copy.state = .gone
        let old = copy.message
        let history = deaths(of: copy, reason)
        let letter = old.sent(
            to: exchange, key: copy.queue.deadLetterKey ?? old.key,
            cc: copy.queue.deadLetterKey == nil ? old.cc : [], expiration: nil)
        let reached = route(exchange: exchange, keys: [letter.key] + letter.cc, headers: letter.headers) ?? []
        var targets = reached.filter { target in
            !isFull(target, for: letter) && !isCycle(history, at: target.name, reason)
        }
        if targets.count < reached.count || reached.isEmpty {
            let parking = parkingQueue(in: copy.queue.name.vhost)
            if !targets.contains(where: { $0 === parking }) { targets.append(parking) }
        }
        var copies: [Copy] = []
        for target in inOrderSeen(targets, letter, history) {
            copies.append(try append(letter, to: target, deaths: history))
        }
        copy.fate = .moved(copies)
    }

    private func isCycle(_ deaths: [ModelDeath], at queue: String, _ reason: DeathReason) -> Bool {
        guard reason != .rejected, let index = deaths.firstIndex(where: { $0.queue == queue }) else {
            return false
        }
        return !deaths[...index].contains { $0.reason == .rejected }
    }

    private func parkingQueue(in vhost: String) -> ModelQueue {
        let name = QueueName.parked.rawValue.placed(in: vhost)
        if let queue = queue(name) { return queue }
        let arguments: FieldTable = ["x-max-length-bytes": .int(Int64(limits.parkedBytesMax))]
        let queue = own(
            ModelQueue(QueueDefinition(QueueName(name), arguments: arguments), owner: nil, now: now))
        queues.append(queue)
        durableChanges += 1
        return queue
    }

    func require(_ holds: Bool, _ text: @autoclosure () -> String) throws {
        if !holds { throw Violation(text()) }
    }
}
