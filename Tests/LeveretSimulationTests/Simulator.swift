// Drives one core, one store and the reference model through a list of operations, and compares them after
// every input. Everything that is left to chance or to the world (when the writer runs, when reads are
// answered, what fails) is an operation, so that a script replays exactly.

import LeveretTestSupport

@testable import LeveretCore

/// One run.
final class Simulator {
    let style: Style
    let model: ReferenceModel
    private(set) var core: BrokerCore
    private let store: any SimulatedStore
    private let seed: UInt64
    private(set) var now: Int64 = 1_000_000

    private(set) var connections: [Int: ConnectionID] = [:]
    private(set) var sessions: [Int: SessionID] = [:]
    /// Events of each session that have been looked at and not drained.
    private var seen: [SessionID: Int] = [:]
    private var leaving: [Session] = []
    /// The message that is being cancelled or changed in this step.
    private(set) var singled: Int64?
    /// What each queue brings in of what is due, if it does, when its timer fires; in the order of the timers.
    var dueSlices: [(queue: String, numbers: [Int64])] = []
    private var nextTicket: UInt64 = 1
    private var nextMessage = 1
    private var numberSeen: Int64 = 0
    private var insertsSeen = (batch: BatchNumber(0), count: 0)

    private(set) var inFlight: (batch: WriteBatch, state: DurableState)?
    private var durable = DurableState()
    private var committed: BatchNumber = 0
    private(set) var loads: [LoadRequest] = []
    private(set) var answers: [LoadResult] = []
    /// A hash of everything the core was seen to do.
    private(set) var outputHash: UInt64 = 0xcbf2_9ce4_8422_2325

    /// The dear comparisons of all there is come after so many operations, and whenever all is settled.
    private let comparesEvery: Int
    private var operations = 0

    init(seed: UInt64, style: Style, store: any SimulatedStore, comparesEvery: Int = 1) throws {
        self.seed = seed
        self.comparesEvery = comparesEvery
        self.style = style
        self.store = store
        model = ReferenceModel(limits: style.coreLimits)
        model.isExact = style.isExact
        core = BrokerCore(limits: style.coreLimits, seed: seed)
        core.recover(try store.reopen(), now: instant)
        durable.exchanges = model.exchanges
    }

    private var instant: Instant { Instant(milliseconds: now) }

    /// True where a session is open in this slot.
    func isOpen(_ slot: Int) -> Bool { sessions[slot] != nil }

    func modelSession(_ slot: Int) -> ModelSession? { sessions[slot].flatMap { model.session($0) } }

    // MARK: - Operations

    /// Carries out one operation and everything that must follow at once.
    func perform(_ operation: Operation) throws {
        switch operation {
        case .open(let slot): try open(slot)
        case .close(let slot): try close(slot)
        case .disconnect(let connection): try disconnect(connection)
        case .call(let slot, let call): try submit(call, slot)
        case .drain(let slot): try drain(slot)
        case .advance(let milliseconds): now += milliseconds
        case .wake: try wake()
        case .work: try work()
        case .take: try take()
        case .fail: break
        case .commit: try commit()
        case .read(let index): try read(index)
        case .answer(let index): try answer(index)
        case .setAlarm(let isRaised):
            core.setAlarm(isRaised ? "the disk is full" : nil, now: instant)
            try observe { $0.isAlarmed = isRaised }
        case .settleAll: try settleAll()
        case .crash(let commits): try crash(commits: commits)
        case .restart: try restart()
        }
        if style.isExact { try settleExactly() }
        operations += 1
        guard operations % comparesEvery == 0 else { return }
        if style.isExact { try compare() }
        core.checkInvariants()
    }

    private func open(_ slot: Int) throws {
        guard sessions[slot] == nil else { return }
        let connection = slot % style.connectionCount
        let id = connections[connection] ?? core.openConnection(name: "c\(connection)", now: instant)
        connections[connection] = id
        let session = core.openSession(on: id, now: instant)
        sessions[slot] = session
        model.sessions.append(ModelSession(id: session, connection: connection))
        try observe { _ in }
    }

    private func close(_ slot: Int) throws {
        guard let id = sessions.removeValue(forKey: slot) else { return }
        noteLeaving(id)
        core.closeSession(id, now: instant)
        seen[id] = nil
        try observe { model in
            if let session = model.session(id) { try model.closed(session) }
        }
    }

    private func disconnect(_ connection: Int) throws {
        guard let id = connections.removeValue(forKey: connection) else { return }
        for slot in sessions.keys where slot % style.connectionCount == connection {
            guard let session = sessions.removeValue(forKey: slot) else { continue }
            noteLeaving(session)
            seen[session] = nil
        }
        leaving.sort { $0.id < $1.id }
        core.closeConnection(id, now: instant)
        try observe { try $0.closed(connection: connection) }
    }

    private func noteLeaving(_ id: SessionID) {
        if let session = core.sessionsByID[id] { leaving.append(session) }
    }

    private func submit(_ call: Call, _ slot: Int) throws {
        guard let id = sessions[slot] else { return }
        // Which of two moves took a message can't be seen.
        if case .move = call, !model.moves.isEmpty { return }
        let ticket = Ticket(nextTicket)
        nextTicket += 1
        var ids: [Int] = []
        let request = request(for: call, ids: &ids)
        singled = call.singled
        defer { singled = nil }
        core.submit(ticket, request, from: id, now: instant)
        try observe { model in
            guard let session = model.session(id) else { return }
            try model.perform(call, session, ticket, ids: ids)
        }
    }

    private func drain(_ slot: Int) throws {
        guard let id = sessions[slot] else { return }
        let before = core.sessionsByID[id]?.outgoing ?? []
        var events: [SessionEvent] = []
        core.drain(id, into: &events, now: instant)
        // What is being written down waits, and all behind it.
        seen[id] = max(0, (seen[id] ?? 0) - events.count)
        let waiting = before.dropFirst(events.count)
        try observe { model in
            guard let session = model.session(id) else { return }
            try model.drained(session, butFor: Step(waiting.map { (id, $0) }).takes)
        }
    }

    private func wake() throws {
        guard core.nextWake <= instant else { return }
        noteDueSlices()
        defer { dueSlices = [] }
        core.timeReached(now: instant)
        try observe {
            $0.endUnused()
            try $0.endLeases()
        }
    }

    private func work() throws {
        guard core.hasMoreWork else { return }
        core.continueWork(now: instant)
        try observe { _ in }
    }

    // MARK: - The store

    private func take() throws {
        guard inFlight == nil else { return }
        let batch = core.takeBatch(now: instant)
        if let batch { inFlight = (batch, model.durableState(after: batch)) }
        try observe { _ in }
    }

    private func commit() throws {
        guard let (batch, state) = inFlight else { return }
        inFlight = nil
        let unfinished = try store.apply(batch)
        committed = batch.number
        durable = state
        try model.committed(state, try store.copies(), unfinished: unfinished)
        core.committed(batch.number, unfinished: unfinished, now: instant)
        try observe { _ in }
    }

    private func read(_ index: Int) throws {
        guard !loads.isEmpty else { return }
        let place = index % loads.count
        guard loads[place].barrier <= committed else { return }
        answers.append(try store.load(loads.remove(at: place)))
    }

    private func answer(_ index: Int) throws {
        guard !answers.isEmpty else { return }
        core.loaded(answers.remove(at: index % answers.count), now: instant)
        try observe { try $0.publishWaiting() }
    }

    private func crash(commits: Bool) throws {
        if commits, let (batch, state) = inFlight {
            let unfinished = try store.apply(batch)
            durable = state
            try model.committed(state, try store.copies(), unfinished: unfinished)
        }
        let left = try store.copies()
        let recovered = try store.reopen()
        let found = try store.copies()
        try model.require(
            found == left.map { $0.recovered }, "a restart found \(found) where \(left) had been left")
        connections = [:]
        sessions = [:]
        seen = [:]
        leaving = []
        inFlight = nil
        loads = []
        answers = []
        committed = 0
        numberSeen = recovered.nextNumber.rawValue - 1
        insertsSeen = (0, 0)
        now += 1
        core = BrokerCore(limits: style.coreLimits, seed: seed)
        core.recover(recovered, now: instant)
        model.now = now
        model.isCounted = { _ in true }
        try model.restarted(from: durable, recovered, found)
        try model.require(
            recovered.nextNumber.rawValue > durable.highestNumber, "message numbers begin again after a crash"
        )
        try observe { _ in }
    }

    private func restart() throws {
        for connection in connections.keys.sorted() { try disconnect(connection) }
        try settleAll()
        try crash(commits: true)
    }

    // MARK: - Settling

    /// Serves what the core waits for until it waits for nothing that the store or time can give.
    private func settleExactly() throws {
        for _ in 0..<100_000 {
            if core.nextWake <= instant {
                try wake()
            } else if core.hasMoreWork {
                try work()
            } else if !answers.isEmpty {
                try answer(0)
            } else if let place = loads.firstIndex(where: { $0.barrier <= committed }) {
                try read(place)
            } else if !loads.isEmpty {
                if inFlight == nil { try take() }
                try model.require(inFlight != nil, "a read waits for a batch that never comes: \(loads)")
                try commit()
            } else {
                return try model.checkDead()
            }
        }
        throw Violation("the core never comes to rest")
    }

    private func settleAll() throws {
        for _ in 0..<100_000 {
            if core.nextWake <= instant {
                try wake()
            } else if core.hasMoreWork {
                try work()
            } else if !answers.isEmpty {
                try answer(0)
            } else if inFlight != nil {
                try commit()
            } else if core.commitWish != .none
                || !loads.isEmpty && loads.allSatisfy({ $0.barrier > committed })
            {
                try take()
                try model.require(
                    inFlight != nil || core.commitWish == .none, "a batch was wished for and there is none")
            } else if !loads.isEmpty {
                try read(loads.firstIndex { $0.barrier <= committed } ?? 0)
            } else if let slot = sessions.keys.sorted().first(where: {
                seen[sessions[$0] ?? SessionID(0)] ?? 0 > 0
            }) {
                try drain(slot)
            } else {
                try compare()
                return try compareAtRest()
            }
        }
        throw Violation("the core never comes to rest")
    }

    // MARK: - Looking

    /// Shows the model what the core has done in its last input, and what the input was.
    private func observe(_ cause: (ReferenceModel) throws -> Void) throws {
        loads += core.takeOutputs().loads
        var events: [(SessionID, SessionEvent)] = []
        for slot in sessions.keys.sorted() {
            guard let id = sessions[slot], let session = core.sessionsByID[id] else { continue }
            let from = seen[id] ?? 0
            for event in session.outgoing[from...] { events.append((id, event)) }
            seen[id] = session.outgoing.count
        }
        var step = Step(events)
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
        model.isCounted = { [unowned self] in isCounted($0) }
        model.isWaiting = { [unowned self] ticket in core.waitingForIDs.contains { $0.ticket == ticket } }
        model.isHeld = { [unowned self] in core.sessionsByID[$0]?.holds(DeliveryTag($1)) ?? false }
        try model.step(
            step, now: now, before: before, leaving: leavingNow(), due: noLongerDelayed(), cause: cause)
        model.highestNumber = numberSeen
        for queue in model.queues where queue.storedID == nil {
            queue.storedID = core.queue(named: QueueName(queue.name))?.id
        }
    }

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
    private func isCounted(_ copy: Copy) -> Bool {
        let number = MessageNumber(copy.number)
        guard copy.number > 0, let queue = core.queue(named: QueueName(copy.queue.name)) else { return false }
        if queue.entry(numbered: number) != nil { return true }
        guard copy.place > queue[UInt8(copy.priority)].cursor.rawValue else { return false }
        let batch = core.gathering.batch
        return !batch.removals.contains(number) && !batch.spillRemovals.contains(number)
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
                    number: entry.number.rawValue, queue: queue.name.rawValue, messageID: messageID(message),
                    deaths: modelDeaths(entry.deaths))
            }
        }
        let gathering = core.gathering.batch
        let from = insertsSeen.batch == gathering.number ? insertsSeen.count : 0
        for row in gathering.inserts[min(from, gathering.inserts.count)...] {
            guard let message = row.message, let queue = core.queuesByID[row.queue] else { continue }
            guard row.number.rawValue > numberSeen else { continue }
            found[row.number.rawValue] = Arrival(
                number: row.number.rawValue, queue: queue.name.rawValue, messageID: messageID(message),
                deaths: modelDeaths(row.deaths))
        }
        insertsSeen = (gathering.number, gathering.inserts.count)
        for queue in core.queues.compactMap({ $0 }) {
            for entry in queue.delayed.inMemory.map(\.entry) where entry.number.rawValue > numberSeen {
                guard let message = entry.message else { continue }
                found[entry.number.rawValue] = Arrival(
                    number: entry.number.rawValue, queue: queue.name.rawValue, messageID: messageID(message),
                    deaths: modelDeaths(entry.deaths))
            }
        }
        for take in takes where take.number > numberSeen {
            found[take.number] = Arrival(
                number: take.number, queue: take.queue, messageID: messageID(take.delivery.message),
                deaths: modelDeaths(take.delivery.deaths))
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

    /// Compares what can be compared when no read is outstanding.
    private func compare() throws {
        try model.checkDead()
        try model.require(
            core.queuesByID.count == model.queues.count, "the core has other queues than the model")
        for held in model.sessions.flatMap(\.held) {
            try model.require(
                core.nextWake.milliseconds <= held.leaseEnd,
                "the lease of delivery \(held.tag) ends at \(held.leaseEnd) and no timer is set")
        }
        for queue in model.queues {
            guard let other = core.queue(named: QueueName(queue.name)) else {
                throw Violation("the core has no queue \(queue.name)")
            }
            let dead = queue.condemned.filter { isCounted($0) }
            try model.require(
                other.readyCount == queue.ready.count + dead.count
                    && other.readyBytes == queue.readyBytes + dead.reduce(0) { $0 + $1.message.size },
                "\(queue.name) has \(other.readyCount) ready (\(other.readyBytes) bytes) in the core, "
                    + "\(queue.ready.count) (\(queue.readyBytes)) in the model")
            let held = (model.sessions + model.leaving).flatMap(\.held).filter { $0.copy.queue === queue }
            try model.require(
                other.unackedCount == held.count,
                "\(queue.name) has \(other.unackedCount) unacked in the core, \(held.count) in the model")
            try model.require(
                other.consumers.count == queue.consumers.count, "\(queue.name): consumers differ")
            try compareWindows(other, queue)
            try compareDelayed(other, queue)
            try compareTimers(queue)
            try model.require(!queue.isOverfull, "\(queue.name) holds more than it may")
            guard let next = queue.ready.first else { continue }
            let waits = model.waiting(at: queue)
            try model.require(
                waits == nil, "message \(next.number) of \(queue.name) is not handed to \(waits ?? "")")
        }
    }

    /// Compares what holds only when everything has been committed too.
    private func compareAtRest() throws {
        model.moves.removeAll { model.expected[$0.ticket] == nil }
        if let get = model.queues.flatMap(\.gets).first(where: { $0.deadline == nil }) {
            throw Violation("a GET that should not wait has no answer: ticket \(get.ticket.rawValue)")
        }
        let open = model.expected.filter {
            if case .get = $0.value.kind { false } else { true }
        }
        if let (ticket, expectation) = open.min(by: { $0.key.rawValue < $1.key.rawValue }) {
            throw Violation("ticket \(ticket.rawValue) is never answered: \(expectation.kind)")
        }
    }

    // MARK: - Requests

    private func message(_ publication: Publication, ids: inout [Int]) -> Message {
        let id = nextMessage
        nextMessage += 1
        ids.append(id)
        var properties = MessageProperties()
        properties.expiration = publication.expiration
        properties.priority = publication.priority
        properties.messageID = publication.dedupID
        for (name, value) in publication.headers.sorted(by: { $0.key < $1.key }) {
            properties.headers[name] = .int(value)
        }
        if let delay = publication.delay { properties.headers["x-delay"] = .int(delay) }
        if !publication.cc.isEmpty { properties.headers["CC"] = .array(publication.cc.map { .string($0) }) }
        return Message(
            exchange: ExchangeName(publication.exchange), routingKey: publication.key,
            properties: properties.isEmpty ? nil : properties, isPersistent: publication.persistent,
            body: body(of: id, size: publication.size, filledWith: ModelMessage.fill))
    }

    private func settlement(_ settling: Settling) -> Settlement {
        let outcome: Settlement.Outcome =
            switch settling.outcome {
            case .ack: .ack
            case .requeue: .requeue
            case .fail: .fail
            case .deadLetter: .deadLetter
            }
        return Settlement(
            outcome, DeliveryTag(settling.tag), multiple: settling.multiple,
            delayMilliseconds: settling.delay)
    }

    private func request(for call: Call, ids: inout [Int]) -> Request {
        switch call {
        case .publish(let publication):
            return .publish(message(publication, ids: &ids), mandatory: publication.mandatory)
        case .transaction(let parts):
            var requests: [Request] = []
            for part in parts {
                switch part {
                case .publish(let publication):
                    requests.append(
                        .publish(message(publication, ids: &ids), mandatory: publication.mandatory))
                case .settle(let settling): requests.append(.settle(settlement(settling)))
                }
            }
            return .transaction(requests)
        case .settle(let settling): return .settle(settlement(settling))
        case .get(let queue, let autoAck, let wait):
            return .get(QueueName(queue), autoAck: autoAck, waitMilliseconds: wait)
        case .consume(let queue, let tag, let prefetch, let autoAck, let exclusive, let priority, let timeout):
            return .consume(
                Consume(
                    queue: QueueName(queue), tag: ConsumerTag(tag), prefetch: prefetch, autoAck: autoAck,
                    exclusive: exclusive, priority: priority, timeoutMilliseconds: timeout))
        case .touch(let tag, let milliseconds): return .touch(DeliveryTag(tag), forMilliseconds: milliseconds)
        case .cancel(let tag, let requeue): return .cancel(ConsumerTag(tag), requeue: requeue)
        case .prefetch(let count): return .setSessionPrefetch(count)
        case .recover: return .recover
        case .setPolicy(let name, let pattern, let priority, let isOperator, let arguments):
            return .setPolicy(
                Policy(
                    name, pattern: pattern, appliesTo: .queues, priority: priority, isOperator: isOperator,
                    definition: fieldTable(arguments)))
        case .deletePolicy(let name, let isOperator): return .deletePolicy(name, isOperator: isOperator)
        case .pause(let queue, let isPaused): return .setPaused(QueueName(queue), isPaused)
        case .purge(let queue): return .purge(QueueName(queue))
        case .peek(let queue, let state):
            return .peek(Peek(QueueName(queue), state: Peek.State(rawValue: state) ?? .ready))
        case .cancelMessage(let queue, let position):
            return .cancelMessage(QueueName(queue), MessageNumber(position))
        case .edit(let queue, let position, let version, let delay, let content):
            var edit = MessageEdit(QueueName(queue), MessageNumber(position), delayMilliseconds: delay)
            edit.version = version
            if let content { fill(&edit, with: content) }
            return .edit(edit)
        case .move(let source, let toQueue, let toExchange, let key, let countMax):
            let destination: Move.Destination =
                toQueue.map { .queue(QueueName($0)) }
                ?? .exchange(ExchangeName(toExchange ?? ""), routingKey: key)
            return .move(Move(from: QueueName(source), to: destination, countMax: countMax))
        default: return topologyRequest(for: call)
        }
    }

    private func topologyRequest(for call: Call) -> Request {
        switch call {
        case .declareExchange(
            let name, let type, let durable, let autoDelete, let isInternal, let alternate,
            let deduplicate):
            var arguments = FieldTable()
            arguments["alternate-exchange"] = alternate.map { .string($0) }
            arguments["x-deduplicate"] = deduplicate.map { .int($0) }
            return .declareExchange(
                ExchangeDefinition(
                    ExchangeName(name), type: ExchangeType(rawValue: type) ?? .direct, durable: durable,
                    autoDelete: autoDelete, internal: isInternal, arguments: arguments),
                passive: false)
        case .deleteExchange(let name, let ifUnused):
            return .deleteExchange(ExchangeName(name), ifUnused: ifUnused)
        case .declareQueue(let name, let durable, let exclusive, let autoDelete, let arguments):
            return .declareQueue(
                QueueDefinition(
                    QueueName(name), durable: durable, exclusive: exclusive, autoDelete: autoDelete,
                    arguments: fieldTable(arguments)), passive: false)
        case .deleteQueue(let name, let ifUnused, let ifEmpty):
            return .deleteQueue(QueueName(name), ifUnused: ifUnused, ifEmpty: ifEmpty)
        case .bind(let source, let target, let toExchange, let key, let arguments):
            return .bind(binding(source, target, toExchange, key, arguments))
        case .unbind(let source, let target, let toExchange, let key, let arguments):
            return .unbind(binding(source, target, toExchange, key, arguments))
        default: return .recover
        }
    }

    private func binding(
        _ source: String, _ target: String, _ toExchange: Bool, _ key: String,
        _ arguments: [String: ArgumentValue]
    ) -> Binding {
        Binding(
            source: ExchangeName(source),
            target: toExchange ? .exchange(ExchangeName(target)) : .queue(QueueName(target)), routingKey: key,
            arguments: fieldTable(arguments))
    }
}
