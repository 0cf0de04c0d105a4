// The pure machine of the whole broker. Inputs are facts with their time, outputs are values that whoever
// owns the core takes and performs. It never does I/O, reads a clock or locks: the same inputs give the
// same outputs, bit for bit.

import DequeModule
import HeapModule

/// The whole broker as a value: virtual hosts, queues, sessions, and the batch that gathers.
///
/// Owned by one `Broker`, under its lock; not `Sendable`. Every input brings its time. After each input the
/// owner takes the outputs and, when `commitWish` asks for it, the batch.
///
/// Not copyable: a function that only reads it would else be handed a copy, with a count raised for each of its parts.
public struct BrokerCore: ~Copyable {
    let limits: CoreLimits
    /// By name. A deleted one is not among them.
    var virtualHosts: [VirtualHost] = []
    var virtualHostsByName: [VirtualHostName: VirtualHost] = [:]
    /// The one called `/`, which is always there.
    let defaultHost: VirtualHost
    /// By slot; `nil` where a slot is free.
    var queues: [MessageQueue?] = []
    var freeSlots: [Int32] = []
    var queuesByID: [QueueID: MessageQueue] = [:]
    var connections: [Connection] = []
    var connectionsByID: [ConnectionID: Connection] = [:]
    var sessionsByID: [SessionID: Session] = [:]
    var generator: SplitMix

    var nextNumber: MessageNumber = 1
    var reservedThrough: MessageNumber = 0
    /// The first number that the broker gave out itself.
    var firstOwnNumber: MessageNumber = 1
    var nextQueueID: QueueID = 1
    var nextVirtualHostID: VirtualHostID = 2
    var nextConnection: UInt64 = 1
    var nextSession: UInt64 = 1
    var nextConsumer: UInt64 = 0

    var gathering = Gathering(number: 1)
    var inFlight: Gathering?

    var timers: Heap<QueueTimer> = []
    /// When leases of a session are next looked at; a session's `leaseCheck` says which entry counts.
    var leases: Heap<LeaseTimer> = []
    /// When holds are next written down; `.distantFuture` while there are none to write.
    var nextHoldMark = Instant.distantFuture
    var work: Deque<LongWork> = []
    var users: [UserName: UserState] = [:]
    var userOrder = SortedRuns<UserName>()
    /// A transaction is being carried out.
    var isInTransaction = false
    /// Queues and exchanges that deduplicate.
    var dedupScopes = 0
    var seenIDs: SeenIDs
    /// No id that the store remembers for a while counts for longer.
    var idsEnd: Instant = 0
    var waitingForIDs: Deque<WaitingPublish> = []
    var waitingForIDsBytes = 0
    var idLookup: IDLookup?
    /// The store's answer is being acted on.
    var isAnsweringIDs = false
    /// Messages on their way to dead-letter exchanges; empty between inputs.
    var dying: Deque<Dying> = []
    /// Reads that are not a queue's window, by the epoch they were asked with.
    var specialLoads: [UInt64: SpecialLoad] = [:]
    var nextSpecialLoad: UInt64 = 1 << 63
    /// Searches that were asked for and not yet answered.
    var searches: [UInt64: SearchPurpose] = [:]
    var nextSearch: UInt64 = 1

    /// Footprint of the messages in memory: in windows and held.
    var messageBytes = 0
    var unackedDropAt = Int.max
    var totals = BrokerStatus()
    var publishRate = RateMeter()
    /// What is wrong, by who has found it.
    var alarms: [AlarmCause: String] = [:]
    /// Why publishes are refused: the first of those that refuse them.
    var alarm: String?
    var warnings: [String] = []
    var isDraining = false

    var outputs = CoreOutputs()
    var woken: [Session] = []

    /// What the broker knows of its surroundings, for STAT.
    public var facts = BrokerFacts()

    /// An empty broker; `seed` drives the names it makes.
    public init(limits: CoreLimits = CoreLimits(), seed: UInt64) {
        self.limits = limits
        generator = SplitMix(state: seed)
        unackedDropAt = limits.messageBytesMax
        seenIDs = SeenIDs(countMax: limits.seenIDsMax, filterBytesMax: limits.idFilterBytesMax)
        defaultHost = VirtualHost(id: .default, name: .default)
        add(defaultHost)
    }

    /// When `timeReached` is next due; `.distantFuture` if nothing is waited for.
    public var nextWake: Instant {
        min(timers.min?.at ?? .distantFuture, leases.min?.at ?? .distantFuture, nextHoldMark)
    }

    /// True while `continueWork` has something to do.
    public var hasMoreWork: Bool { !work.isEmpty }

    /// True while no more should be made for the disk than it takes: it does not keep up.
    public var isUnderPressure: Bool {
        gathering.bytes + waitingForIDsBytes > limits.gatheredBytesMax
    }

    /// True while publishers should be held back. Under an alarm they are let through, to be refused.
    public var holdsPublishersBack: Bool { isUnderPressure && alarm == nil }

    /// How soon the writer should call `takeBatch`; `.none` while a batch is in flight or bodies are awaited.
    public var commitWish: CommitWish { inFlight == nil && !isAwaitingBodies ? gathering.wish : .none }

    /// True while what has gathered must not be committed before reads that are under way are answered.
    public var isAwaitingBodies: Bool { gathering.bodiesAwaited > 0 }

    /// Takes over what the store found. Once, before any other input.
    public mutating func recover(_ state: RecoveredState, now: Instant) {
        nextNumber = state.nextNumber
        firstOwnNumber = state.nextNumber
        reservedThrough = MessageNumber(state.nextNumber.rawValue - 1)
        nextQueueID = state.nextQueueID
        totals.started = now
        for recovered in state.virtualHosts { recover(recovered, now: now) }
        recoverUsers(state)
        recoverIDs(state, now: now)
        for recovered in state.virtualHosts {
            for binding in recovered.bindings {
                virtualHostsByName[recovered.name]?.topology.restore(binding)
            }
        }
        // What had been held is ready again, so a queue may now be longer than it is allowed to be.
        // And some may have been held once too often: they are at the head.
        for case .some(let queue) in queues {
            enforceLength(of: queue, now: now)
            if queue.settings.deliveryLimit != nil { refill(queue) }
        }
        for orphan in state.orphans {
            gathering.remove(RangeRemoval(queue: orphan, after: .first, through: reservedThrough))
        }
    }

    /// Takes over one virtual host, all but its bindings.
    private mutating func recover(_ recovered: RecoveredVirtualHost, now: Instant) {
        let host: VirtualHost
        if let known = virtualHostsByName[recovered.name] {
            host = known
            host.limits = recovered.limits
        } else {
            host = VirtualHost(id: recovered.id, name: recovered.name, limits: recovered.limits)
            add(host)
        }
        for policy in recovered.policies {
            // One that is no longer allowed has no say; it stays in the file.
            if let active = try? ActivePolicy(policy) { host.add(active) }
        }
        for recovered in recovered.queues {
            // Settings that are no longer allowed must not cost the messages: the queue goes on without.
            let settings = (try? QueueSettings(recovered.definition)) ?? QueueSettings(priorities: recovered)
            let queue = addQueue(
                recovered.definition, in: host, id: recovered.id, settings: settings, now: now)
            for level in recovered.levels { queue[level.priority].recover(level) }
            queue.pausedSince = recovered.pausedSince
            queue.chooseActive()
            queue.delayed.recover(count: recovered.delayed, nextDue: recovered.nextDue)
            arm(queue)
        }
        for exchange in recovered.exchanges { host.topology.restore(exchange) }
        for case .some(let exchange) in host.topology.states {
            settle(exchange: exchange.definition.name, in: host)
        }
    }

    /// Moves out what is to be done outside the lock.
    public mutating func takeOutputs() -> CoreOutputs {
        for session in woken {
            if session.outgoing.isEmpty {
                session.isWoken = false
            } else {
                outputs.wakes.append(session.id)
            }
        }
        woken.removeAll(keepingCapacity: true)
        defer { outputs = CoreOutputs() }
        return outputs
    }

    /// Appends an event to a session and sees that it is woken.
    mutating func post(_ event: consuming SessionEvent, to session: Session) {
        guard !session.isClosed else { return }
        session.outgoing.append(event)
        wake(session)
    }

    /// Answers a request.
    mutating func answer(_ session: Session, _ ticket: Ticket, _ answer: consuming Answer) {
        if session.stopsAtRefusal, case .refused(let error) = answer, error.code != .resourceError {
            session.hasStopped = true
        }
        post(.answer(ticket, answer), to: session)
    }

    /// Answers once everything that changed since `durableChanges` stood at `before` is committed.
    mutating func answerDurably(_ session: Session, _ ticket: Ticket, _ answer: Answer, since before: Int) {
        if gathering.durableChanges == before {
            self.answer(session, ticket, answer)
        } else {
            gathering.answers.append(WaitingAnswer(session: session, ticket: ticket, answer: answer))
            gathering.wants(.now)
        }
    }

    mutating func wake(_ session: Session) {
        guard !session.isWoken else { return }
        session.isWoken = true
        woken.append(session)
    }

    /// The queue in a slot that a topology gave.
    func queue(at slot: QueueSlot) -> MessageQueue? {
        let index = Int(slot.rawValue)
        return index < queues.count ? queues[index] : nil
    }

    /// The queue of this name in a virtual host.
    func queue(named name: QueueName, in host: VirtualHost) -> MessageQueue? {
        host.topology.slot(of: name).flatMap { queue(at: $0) }
    }
}

/// The generator behind server-made names (SplitMix64), seeded by the owner.
struct SplitMix {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}
