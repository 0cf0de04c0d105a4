// A session: what one line connection, AMQP channel or embedded client holds of the broker. Data with the
// bookkeeping of its own numbers; BrokerCore decides.
//
// Here and in MessageQueue the fields that every message touches are `@exclusivity(unchecked)`: the core
// runs under one lock and nothing calls back into it, and the checks cost a fifth of a message's time.

import DequeModule

/// What a transaction that is still open is to settle: the deliveries that its settlement named when it came.
struct Claim {
    var settlement: Settlement
    var tags: [UInt64]
}

/// What one session holds: deliveries, consumers, and events that wait to be drained.
final class Session {
    let id: SessionID
    unowned let connection: Connection
    /// Where names mean something to it.
    @exclusivity(unchecked) var host: VirtualHost
    /// It counts there. False before its first request about names, and once its virtual host is deleted.
    @exclusivity(unchecked) var isAdmitted = false
    let limits: CoreLimits
    var consumers: [Consumer] = []
    var prefetch = 0
    /// What it may ask; `nil` is everything.
    @exclusivity(unchecked) var access: Access?
    var isClosed = false
    /// What its door knew of it when that was last looked at.
    var notes = SessionNotes()
    /// Nothing is done behind a refusal, as on an AMQP channel, which is closed by it.
    let stopsAtRefusal: Bool
    /// It is closed, and queues know that what it holds is coming back.
    var isComingBack = false
    /// It has not drained yet that publishes are refused.
    var isAlarmUntold = false
    /// It has come to one.
    @exclusivity(unchecked) var hasStopped = false

    /// Events in order, until `drain` takes them.
    @exclusivity(unchecked) var outgoing: [SessionEvent] = []
    /// Bytes of the deliveries among them.
    @exclusivity(unchecked) var outgoingBytes = 0
    /// Automatic-ack deliveries among them: settled once drained.
    @exclusivity(unchecked) var handingOver: [Held] = []
    /// Where among them deliveries begin that are being written down, one for a batch: they and what stands behind
    /// them wait for its commit.
    @exclusivity(unchecked) var marks: Deque<(event: Int, batch: BatchNumber)> = []
    /// A consumer or a GET went without because too much waited; draining starts its queues again.
    @exclusivity(unchecked) var isStarved = false
    /// A consumer went without because of what the session holds; a settlement starts its queues again.
    @exclusivity(unchecked) var isCapped = false
    /// GETs that wait for an answer.
    var waitingGets = 0
    /// Queues that pass over its GETs while it is starved.
    var passedOver: [MessageQueue] = []
    /// It stands in the list of sessions to wake, or has been woken and not drained since.
    @exclusivity(unchecked) var isWoken = false

    /// What is held: `held[i]` has tag `firstTag + i`; settled ones are `nil` until they reach the front.
    @exclusivity(unchecked) private(set) var held: Deque<Held?> = []
    @exclusivity(unchecked) private(set) var firstTag: UInt64 = 1
    @exclusivity(unchecked) private(set) var nextTag: UInt64 = 1
    @exclusivity(unchecked) private(set) var heldCount = 0
    /// Of these, by GETs.
    @exclusivity(unchecked) private(set) var heldByGets = 0
    @exclusivity(unchecked) private(set) var heldBytes = 0
    /// What its next transaction settles, in order: held until then, and out of reach of all else.
    private var claims: [Claim] = []
    /// The tags of these, and the first tag before which there is nothing else, so that it isn't looked through again.
    private var claimed: Set<UInt64> = []
    private var claimedBelow: UInt64 = 0
    /// Whose consumer was asked first when one more could be handed to the session.
    var turn = 0
    /// Deliveries below this tag are written down as held, or need not be.
    var markedBelow: UInt64 = 1
    /// Deliveries below this tag have no body in memory any more, or are settled.
    var droppedBelow: UInt64 = 1

    /// When the leases of its deliveries are next looked at; `.distantFuture` while none has one.
    var leaseCheck = Instant.distantFuture
    /// No lease of it is shorter than this.
    var shortestLease = Int64.max
    /// Where the leases end that were extended.
    var touched: [UInt64: Instant] = [:]
    /// The last deliveries whose leases ended, and when, so that a late ack can be told.
    var expiredLeases: Deque<(tag: UInt64, end: Instant)> = []

    init(
        id: SessionID, connection: Connection, host: VirtualHost, stopsAtRefusal: Bool, limits: CoreLimits
    ) {
        self.stopsAtRefusal = stopsAtRefusal
        self.id = id
        self.connection = connection
        self.host = host
        self.limits = limits
    }

    /// True while the session may be handed one more message for this consumer. Where it may not, what frees it again
    /// will have to look after all its consumers. What GETs and automatic acks take is nothing to the prefetch.
    func hasCredit(for consumer: Consumer) -> Bool {
        guard outgoingBytes < limits.outgoingBytesMax else {
            isStarved = true
            return false
        }
        let isFree =
            (prefetch == 0 || heldCount - heldByGets < prefetch)
            && heldCount < limits.unackedCountMax
            && heldBytes < limits.unackedBytesMax && !isClosed
        if !isFree { isCapped = true }
        return isFree
    }

    /// The queues that pass over its GETs are the caller's to have them go on.
    func takePassedOver() -> [MessageQueue] {
        defer { passedOver = [] }
        return passedOver
    }

    /// Gives out the next delivery tag without holding anything under it.
    func skipTag() -> DeliveryTag {
        let tag = nextTag
        nextTag += 1
        if held.isEmpty { firstTag = nextTag } else { held.append(nil) }
        return DeliveryTag(tag)
    }

    /// Who holds what this consumer was handed, or without one a GET, for people.
    func holder(of consumer: Consumer?) -> String { "\(connection.name)/\(consumer?.tag.rawValue ?? "get")" }

    /// Holds a delivery under the next tag.
    func hold(_ delivery: consuming Held) -> DeliveryTag {
        let tag = nextTag
        nextTag += 1
        heldCount += 1
        heldBytes += delivery.entry.bulk
        delivery.consumer?.unacked += 1
        delivery.queue.unackedCount += 1
        if delivery.consumer == nil {
            delivery.queue.heldByGets += 1
            heldByGets += 1
        }
        held.append(delivery)
        return DeliveryTag(tag)
    }

    /// True where `tag` is held and may be settled.
    func holds(_ tag: DeliveryTag) -> Bool {
        guard let index = index(of: tag.rawValue) else { return false }
        return !isGone(at: index) && !claimed.contains(tag.rawValue)
    }

    /// Leaves what a settlement names to the next transaction.
    func claim(_ settlement: Settlement) {
        let claim = Claim(settlement: settlement, tags: tags(of: settlement))
        claims.append(claim)
        claimed.formUnion(claim.tags)
        guard settlement.multiple else { return }
        claimedBelow = settlement.tag == 0 ? nextTag : settlement.tag.rawValue + 1
    }

    /// What was claimed is the caller's to settle; else it is held as before.
    func takeClaims() -> [Claim] {
        defer { (claims, claimed, claimedBelow) = ([], [], 0) }
        return claims
    }

    /// What a settlement names of what may be settled, oldest first.
    func tags(of settlement: Settlement) -> [UInt64] {
        let tag = settlement.tag.rawValue
        return settlement.multiple ? heldTags(through: tag == 0 ? .max : tag) : [tag]
    }

    /// What is held under `tag`.
    subscript(tag: DeliveryTag) -> Held? { index(of: tag.rawValue).flatMap { held[$0] } }

    /// True where this consumer holds `tag`.
    func isHeld(_ tag: UInt64, by consumer: Consumer) -> Bool {
        guard let index = index(of: tag), let delivery = held[index] else { return false }
        return delivery.consumer === consumer
    }

    /// Lets go of one delivery; `nil` when it is not held.
    func release(_ tag: UInt64) -> Held? {
        guard let index = index(of: tag), let delivery = held[index].take() else { return nil }
        if !touched.isEmpty { touched[tag] = nil }
        if !claimed.isEmpty { claimed.remove(tag) }
        heldCount -= 1
        heldBytes -= delivery.entry.bulk
        delivery.consumer?.unacked -= 1
        delivery.queue.unackedCount -= 1
        if delivery.consumer == nil {
            delivery.queue.heldByGets -= 1
            heldByGets -= 1
        }
        while !held.isEmpty, isGone(at: 0) {
            held.removeFirst()
            firstTag += 1
        }
        return delivery
    }

    /// True where nothing is held any more. Asked without a copy, which would be counted at four references.
    private func isGone(at index: Int) -> Bool { if case .none = held[index] { true } else { false } }

    /// The tags that may be settled, oldest first, up to and including `through`, at most `countMax`.
    func heldTags(through: UInt64 = .max, countMax: Int = .max) -> [UInt64] {
        var tags: [UInt64] = []
        let start = claimedBelow > firstTag ? Int(claimedBelow - firstTag) : 0
        for index in start..<held.count {
            let tag = firstTag + UInt64(index)
            guard tag <= through, tags.count < countMax else { break }
            if !isGone(at: index), !claimed.contains(tag) { tags.append(tag) }
        }
        return tags
    }

    /// Calls `body` for each held delivery at or above `tag`, oldest first, until it returns false.
    /// Changes that `body` makes to the entry stay. Returns the tag at which it stopped.
    func updateHeld(from tag: UInt64, _ body: (UInt64, inout Held) -> Bool) -> UInt64 {
        var tag = max(tag, firstTag)
        while tag < nextTag, let index = index(of: tag) {
            if var delivery = held[index].take() {
                let bulk = delivery.entry.bulk
                let goesOn = body(tag, &delivery)
                heldBytes += delivery.entry.bulk - bulk
                held[index] = delivery
                if !goesOn { return tag }
            }
            tag += 1
        }
        return tag
    }

    private func index(of tag: UInt64) -> Int? {
        guard tag >= firstTag, tag < nextTag else { return nil }
        return Int(tag - firstTag)
    }
}
