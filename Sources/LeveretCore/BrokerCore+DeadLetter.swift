// A message leaves its queue by rule: to the dead-letter exchange, to the parking queue, or dropped.
// RabbitMQ: "Dead Letter Exchanges". The removal and every copy that follows stand in one batch.

import DequeModule
import HeapModule

/// A message that is out of its queue and on its way; handled before the input ends, one after another, so
/// that long chains of dead-letter exchanges need no stack.
struct Dying {
    var entry: Entry
    /// Set for a copy that never got a row of its own.
    var confirm: Confirm?
    var queue: MessageQueue
    var reason: DeathReason
    var errorText: String?
    /// Why it can't be handed to anybody as it was stored.
    var damage: String?
}

extension BrokerCore {
    /// Sends a held message to its death. Returns the read it waits for when its body is not in memory.
    mutating func die(_ held: Held, _ reason: DeathReason, errorText: String?, now: Instant) -> UInt64? {
        let queue = held.queue
        messageBytes -= held.entry.footprint
        guard !queue.isDeleted else { return nil }
        let text = errorText.map { clipped($0) }
        var dying = Dying(entry: held.entry, queue: queue, reason: reason, errorText: text)
        if dying.entry.message == nil, let content = gathering.contents[dying.entry.number] {
            dying.entry.message = content.message
        }
        guard dying.entry.message == nil, queue.settings.deadLetterExchange != nil else {
            self.dying.append(dying)
            return nil
        }
        queue.inTransit += 1
        // Its row has been there for long: the read needs not wait for the batch that may wait for it.
        return load([held.entry.number], of: queue, for: .death(dying), barrier: barrierOfStored)
    }

    /// Handles every message that is on its way. Called at the end of each input.
    mutating func settleDying(now: Instant) {
        while let dying = dying.popFirst() {
            let confirm = dying.confirm ?? takeConfirm(of: dying.entry)
            if dying.confirm == nil { removeRow(of: dying.entry, isMove: true) }
            forgetID(of: dying.entry.number)
            deadLetter(dying, confirm, now: now)
        }
    }

    private mutating func deadLetter(_ dying: Dying, _ confirm: Confirm, now: Instant) {
        let queue = dying.queue
        // Where there are no names any more, it goes with its queue, which is about to.
        guard !queue.host.isDeleted else { return fireOfGone(confirm) }
        queue.deaths[dying.reason, default: 0] += 1
        totals.deaths[dying.reason, default: 0] += 1
        if dying.reason == .rejected || dying.reason == .deliveryLimit { queue.lastFailure = now }
        if let damage = dying.damage, let message = dying.entry.message {
            let history = DeathHistory(dying, message: message, now: now)
            return park(message, history, damage, confirm, in: queue.host, now: now)
        }
        guard let exchange = queue.settings.deadLetterExchange, let message = dying.entry.message else {
            return fireOfGone(confirm)
        }
        var history = DeathHistory(dying, message: message, now: now)
        let letter = message.deadLetter(to: exchange, routingKey: queue.settings.deadLetterRoutingKey)
        let route: Route
        do throws(BrokerError) { route = try queue.host.topology.route(letter, isDeadLetter: true) } catch {
            let isGone = queue.host.topology.exchange(exchange) == nil
            let why = isGone ? "dead-letter exchange '\(exchange)' does not exist" : error.text
            return park(letter, history, why, confirm, in: queue.host, now: now)
        }
        var targets: [MessageQueue] = []
        var problem: String?
        for slot in route.queues {
            guard let target = self.queue(at: slot) else { continue }
            if history.isCycle(at: target.name, reason: dying.reason) {
                problem = "it has been in queue '\(target.name)' before and nobody rejected it since"
            } else if isFull(target, for: letter) {
                problem = "queue '\(target.name)' is full and rejects publishes"
            } else {
                targets.append(target)
            }
        }
        if route.queues.isEmpty { problem = "dead-letter exchange '\(exchange)' routes it nowhere" }
        if let excess = excess(of: history, over: targets.count + (problem == nil ? 0 : 1)) {
            (problem, targets) = (excess, [])
        }
        if let problem, let parking = parkingQueue(history, problem, in: queue.host, now: now),
            !targets.contains(where: { $0 === parking })
        {
            targets.append(parking)
        }
        if targets.count > 1 { history = history.multiplied(by: targets.count) }
        let parked = problem.map { history.parked(because: $0) }
        deliver(letter, to: targets, history, parked: parked, confirm, now: now)
    }

    /// Why a dead letter may not go on to so many queues: what queues make of one message by rule is bounded.
    private func excess(of history: DeathHistory, over targets: Int) -> String? {
        if history.deaths.count > limits.deathsMax {
            return "it has died in \(limits.deathsMax) ways before"
        }
        guard targets > 1, history.copies > 1,
            history.copies * min(targets, Int(Int32.max)) > limits.deadLetterCopiesMax
        else { return nil }
        return
            "it is one of \(history.copies) copies that dead-lettering has made of one message, and there would be "
            + "\(targets) of each"
    }

    /// Puts copies on queues that have room; who waited for the old message now waits for these.
    mutating func deliver(
        _ letter: Message, to targets: [MessageQueue], _ history: DeathHistory?, parked: DeathHistory? = nil,
        _ confirm: Confirm, now: Instant
    ) {
        let durable = targets.count { isStoredDurably(letter, in: $0) }
        let confirms = split(confirm, over: durable)
        var sharedBody: MessageNumber = 0
        for target in targets {
            let isDurable = isStoredDurably(letter, in: target)
            if isDurable, durable > 1, sharedBody == 0 { sharedBody = nextNumber }
            _ = enqueue(
                letter, on: target, deaths: target.name == .parked ? parked ?? history : history,
                confirm: isDurable ? confirms : .none, sharedBody: isDurable ? sharedBody : 0, now: now)
        }
    }

    /// Makes one wait into a wait for `copies`, or ends it where there is nothing to wait for.
    private mutating func split(_ confirm: Confirm, over copies: Int) -> Confirm {
        switch (confirm, copies) {
        case (.none, _), (_, 1): return confirm
        case (_, 0):
            fireOfGone(confirm)
            return .none
        case (.one(let session, let ticket, let routed), _):
            return .shared(
                SharedConfirm(session: session, ticket: ticket, routed: Int(routed), remaining: copies))
        case (.shared(let shared), _):
            shared.remaining += copies - 1
            return confirm
        }
    }

    /// A stored message that doesn't decode goes to the parking queue, with what can be read of it, and not to a
    /// consumer.
    mutating func setAside(_ entry: Entry, of queue: MessageQueue, because damage: String) {
        messageBytes -= entry.footprint
        dying.append(Dying(entry: entry, queue: queue, reason: .rejected, damage: damage))
    }

    private mutating func park(
        _ letter: Message, _ history: DeathHistory, _ why: String, _ confirm: Confirm, in host: VirtualHost,
        now: Instant
    ) {
        let targets = [parkingQueue(history, why, in: host, now: now)].compactMap { $0 }
        deliver(letter, to: targets, history, parked: history.parked(because: why), confirm, now: now)
    }

    /// The queue of a virtual host for what could not be dead-lettered, made when first needed, whatever its limits.
    private mutating func parkingQueue(
        _ history: DeathHistory, _ why: String, in host: VirtualHost, now: Instant
    ) -> MessageQueue? {
        totals.parked += 1
        let origin = history.deaths.first?.queue ?? history.originQueue
        outputs.events.append(.messageParked(origin, why, in: host.name))
        if let queue = queue(named: .parked, in: host) { return queue }
        let arguments: FieldTable = [QueueArgument.bytesMax: .int(Int64(limits.parkedBytesMax))]
        let definition = QueueDefinition(.parked, arguments: arguments)
        guard let settings = try? QueueSettings(definition) else { return nil }
        return createQueue(definition, in: host, settings, owner: nil, now: now)
    }

    private func clipped(_ text: String) -> String {
        guard text.utf8.count > limits.errorTextBytesMax else { return text }
        // Not inside of what one character is made of: the bytes that go on from another are 10xxxxxx.
        var end = text.utf8.index(text.startIndex, offsetBy: limits.errorTextBytesMax)
        while end > text.startIndex, text.utf8[end] & 0xC0 == 0x80 { end = text.utf8.index(before: end) }
        return String(text[..<end])
    }

    // MARK: - Length limits

    /// True where the queue refuses one more message (`reject-publish`, `reject-publish-dlx`).
    func isFull(_ queue: MessageQueue, for message: Message) -> Bool {
        isFull(queue, forBytes: message.body.count)
    }

    /// True where the queue refuses so many more ready messages, with so many bytes in all.
    func isFull(_ queue: MessageQueue, forBytes bytes: Int, messages: Int = 1) -> Bool {
        let settings = queue.settings
        guard settings.overflow != .dropHead else { return false }
        if messages > 0, let most = settings.lengthMax, Int64(queue.readyCount + messages) > most {
            return true
        }
        if let most = settings.bytesMax, Int64(queue.readyBytes + bytes) > most { return true }
        return false
    }

    /// What becomes of a message that a full queue refuses: with `reject-publish-dlx` a dead letter.
    mutating func overflow(_ message: Message, _ queue: MessageQueue, now: Instant) {
        guard queue.settings.overflow == .rejectPublishDLX else { return }
        let entry = Entry(
            number: 0, message: message, entered: now, expires: .distantFuture, storage: .memory, deaths: nil)
        dying.append(Dying(entry: entry, confirm: Confirm.none, queue: queue, reason: .maxlen))
    }

    /// Drops from the head for as long as the queue holds more than it may. What has expired goes first, as
    /// such: it must not cost a live message its place.
    mutating func enforceLength(of queue: MessageQueue, now: Instant) {
        let settings = queue.settings
        guard settings.overflow == .dropHead, settings.lengthMax != nil || settings.bytesMax != nil else {
            return
        }
        let (lengthMax, bytesMax) = (settings.lengthMax ?? .max, settings.bytesMax ?? .max)
        while Int64(queue.readyCount) > lengthMax || Int64(queue.readyBytes) > bytesMax {
            if let expiry = queue.expiries.min, expiry.at <= now {
                _ = expireDue(queue, now: now)
                continue
            }
            guard let head = queue.popFirst() else { return refill(queue) }
            // After a restart, what has expired may be found by its length first.
            drop(head, from: queue, head.expires <= now ? .expired : .maxlen)
            noteEmptied(queue, now: now)
        }
    }

    /// Sends a message that was taken out of the window to its death.
    mutating func drop(_ entry: Entry, from queue: MessageQueue, _ reason: DeathReason) {
        messageBytes -= entry.footprint
        guard entry.message == nil, queue.settings.deadLetterExchange != nil else {
            dying.append(Dying(entry: entry, queue: queue, reason: reason))
            return
        }
        queue.inTransit += 1
        _ = load([entry.number], of: queue, for: .death(Dying(entry: entry, queue: queue, reason: reason)))
    }
}

extension Message {
    /// The message as it goes to a dead-letter exchange: it can't expire again, and with a key of the
    /// queue's own its `CC` is gone.
    func deadLetter(to exchange: ExchangeName, routingKey: String?) -> Message {
        var properties = properties
        properties?.expiration = nil
        if routingKey != nil { properties?.headers[HeaderName.cc] = nil }
        if properties?.isEmpty == true { properties = nil }
        return Message(
            exchange: exchange, routingKey: routingKey ?? self.routingKey, properties: properties,
            isPersistent: isPersistent, body: body)
    }

    /// The keys it was published with: the routing key, then `CC`.
    var routingKeys: [String] {
        guard case .array(let copies)? = properties?.headers[HeaderName.cc] else { return [routingKey] }
        return [routingKey] + copies.compactMap { if case .string(let key) = $0 { key } else { nil } }
    }
}

extension DeathHistory {
    /// The history of a message that dies now.
    convenience init(_ dying: Dying, message: Message, now: Instant) {
        let before = dying.entry.deaths
        var deaths = before?.deaths ?? []
        var death = Death(
            queue: dying.queue.name, reason: dying.reason, count: 1, exchange: message.exchange,
            routingKeys: message.routingKeys, time: now, originalExpiration: message.properties?.expiration)
        if let index = deaths.firstIndex(where: { $0.queue == death.queue && $0.reason == death.reason }) {
            death = deaths.remove(at: index)
            death.count = min(death.count + 1, Death.countMax)
        }
        deaths.insert(death, at: 0)
        self.init(
            deaths: deaths, originQueue: before?.originQueue ?? dying.queue.name,
            firstReason: before?.firstReason ?? dying.reason,
            firstExchange: before?.firstExchange ?? message.exchange, firstTime: before?.firstTime ?? now,
            lastTime: now, errorText: dying.errorText ?? before?.errorText,
            copies: dying.reason == .rejected ? 1 : before?.copies ?? 1)
    }

    /// True where the message has died in `queue` before and no consumer has rejected it since: it would
    /// go round for ever (RabbitMQ's rule).
    func isCycle(at queue: QueueName, reason: DeathReason) -> Bool {
        guard reason != .rejected, let index = deaths.firstIndex(where: { $0.queue == queue }) else {
            return false
        }
        return !deaths[...index].contains { $0.reason == .rejected }
    }

    /// The history of a message that goes to the parking queue for this reason.
    func parked(because why: String) -> DeathHistory {
        DeathHistory(
            deaths: deaths, originQueue: originQueue, firstReason: firstReason, firstExchange: firstExchange,
            firstTime: firstTime, lastTime: lastTime,
            errorText: errorText.map { "\($0); parked: \(why)" } ?? "parked: \(why)", copies: copies)
    }

    /// The history of one of so many copies.
    func multiplied(by count: Int) -> DeathHistory {
        DeathHistory(
            deaths: deaths, originQueue: originQueue, firstReason: firstReason, firstExchange: firstExchange,
            firstTime: firstTime, lastTime: lastTime, errorText: errorText,
            copies: copies * min(count, Int(Int32.max)))
    }
}
