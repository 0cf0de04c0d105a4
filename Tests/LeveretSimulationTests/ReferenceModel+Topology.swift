// Declaring, deleting, binding; sessions that come and go.

import LeveretCore

extension ReferenceModel {
    /// Carries out a change of the topology, or a purge.
    func change(_ call: Call, _ session: ModelSession, _ ticket: Ticket) throws {
        switch call {
        case .declareExchange(
            let name, let type, let durable, let autoDelete, let isInternal, let alternate,
            let deduplicate):
            let wanted = ModelExchange(
                name: name, type: type, isDurable: durable, isAutoDelete: autoDelete, isInternal: isInternal,
                arguments: exchangeArguments(alternate, deduplicate))
            declare(wanted, ticket)
        case .deleteExchange(let name, let ifUnused):
            if ifUnused, bindings.contains(where: { $0.source == name }) {
                return refuse(ticket, .preconditionFailed)
            }
            let before = durableChanges
            removeExchange(name)
            expect(ticket, "done", since: before)
        case .declareQueue(let name, let durable, let exclusive, let autoDelete, let arguments):
            let definition = QueueDefinition(
                QueueName(name), durable: durable, exclusive: exclusive, autoDelete: autoDelete,
                arguments: fieldTable(arguments))
            declare(definition, session, ticket)
        case .deleteQueue(let name, let ifUnused, let ifEmpty):
            delete(name, ifUnused, ifEmpty, session, ticket)
        case .bind(let source, let target, let toExchange, let key, let arguments),
            .unbind(let source, let target, let toExchange, let key, let arguments):
            let binding = ModelBinding(
                source: source, target: target, toExchange: toExchange, key: key, arguments: arguments)
            if case .bind = call { bind(binding, session, ticket) } else { unbind(binding, session, ticket) }
        case .purge(let name): purge(name, session, ticket)
        case .pause(let name, let isPaused):
            guard let queue = usable(name, session, ticket) else { return }
            let before = durableChanges
            if queue.isPaused != isPaused, queue.isDurable { durableChanges += 1 }
            queue.isPaused = isPaused
            expect(ticket, "done", since: before)
        default: break
        }
    }

    private func declare(_ wanted: ModelExchange, _ ticket: Ticket) {
        if let there = exchange(wanted.name) {
            return there.isDeclared(like: wanted)
                ? expect(ticket, "done") : refuse(ticket, .preconditionFailed)
        }
        let before = durableChanges
        exchanges.append(obeying(wanted))
        if wanted.isDurable { durableChanges += 1 }
        expect(ticket, "done", since: before)
    }

    private func declare(_ definition: QueueDefinition, _ session: ModelSession, _ ticket: Ticket) {
        let name = definition.name.rawValue
        if queue(name) != nil {
            guard let there = usable(name, session, ticket) else { return }
            guard there.definition == definition else { return refuse(ticket, .preconditionFailed) }
            there.lastUsed = now
            return expect(ticket, "declared \(name.plain)")
        }
        if case .some(.some(let most)) = vhosts[name.vhost],
            queues.count(where: { $0.name.vhost == name.vhost }) >= most
        {
            return refuse(ticket, .preconditionFailed)
        }
        let before = durableChanges
        let owner = definition.isExclusive ? session.connection : nil
        let made = own(ModelQueue(definition, owner: owner, now: now))
        queues.append(made)
        obeyPolicies(made)
        if made.isDurable { durableChanges += 1 }
        expect(ticket, "declared \(name.plain)", since: before)
    }

    private func delete(
        _ name: String, _ ifUnused: Bool, _ ifEmpty: Bool, _ session: ModelSession, _ ticket: Ticket
    ) {
        guard queue(name) != nil else { return expect(ticket, "count 0") }
        guard let queue = usable(name, session, ticket) else { return }
        if ifUnused, !queue.consumers.isEmpty { return refuse(ticket, .preconditionFailed) }
        if ifEmpty, !queue.ready.isEmpty || !queue.delayed.isEmpty {
            return refuse(ticket, .preconditionFailed)
        }
        let before = durableChanges
        var expectation = Expectation(kind: count(queue), durableSince: nil)
        delete(queue)
        if before != durableChanges { expectation.durableSince = durableChanges }
        expected[ticket] = expectation
    }

    /// Deletes a queue with its messages, bindings and consumers.
    func delete(_ queue: ModelQueue) {
        removeBindings { !$0.toExchange && $0.target == queue.name }
        queue.isDeleted = true
        if queue.isDurable { durableChanges += 1 }
        for copy in queue.ready + queue.delayed { settle(copy) }
        queue.ready = []
        queue.delayed = []
        strays += queue.condemned.filter { !$0.isDropped }
        queue.condemned = []
        for consumer in queue.consumers {
            consumer.session.consumers.removeAll { $0 === consumer }
            ended.append((consumer.session.id, consumer.tag))
        }
        queue.consumers = []
        for get in queue.gets { refuse(get.ticket, .notFound) }
        queue.gets = []
        queues.removeAll { $0 === queue }
        seen["q\(queue.name)"] = nil
    }

    private func bind(_ binding: ModelBinding, _ session: ModelSession, _ ticket: Ticket) {
        if !binding.toExchange, queue(binding.target) != nil {
            guard usable(binding.target, session, ticket) != nil else { return }
        }
        guard exists(binding) else { return refuse(ticket, .notFound) }
        let before = durableChanges
        if !bindings.contains(binding) {
            bindings.append(binding)
            if binding.isDurable(in: self) { durableChanges += 1 }
        }
        expect(ticket, "done", since: before)
    }

    private func unbind(_ binding: ModelBinding, _ session: ModelSession, _ ticket: Ticket) {
        if !binding.toExchange, queue(binding.target) != nil {
            guard usable(binding.target, session, ticket) != nil else { return }
        }
        guard exists(binding) else { return refuse(ticket, .notFound) }
        let before = durableChanges
        removeBindings { $0 == binding }
        expect(ticket, "done", since: before)
    }

    private func exists(_ binding: ModelBinding) -> Bool {
        guard exchange(binding.source) != nil else { return false }
        return binding.toExchange ? exchange(binding.target) != nil : queue(binding.target) != nil
    }

    private func purge(_ name: String, _ session: ModelSession, _ ticket: Ticket) {
        guard let queue = usable(name, session, ticket) else { return }
        let gone = queue.ready
        expected[ticket] = Expectation(kind: count(queue), gone: gone)
        queue.ready = []
        // What is dead and was not found yet goes with the rest.
        for copy in queue.condemned where !isPending(copy) { settle(copy) }
        queue.condemned.removeAll {
            $0.state == .gone && (!$0.isDropped || !$0.isDurable)
        }
        for copy in gone { settle(copy) }
    }

    private func count(_ queue: ModelQueue) -> Expectation.Kind {
        .count(queue.ready.count, orMore: isExact ? queue.condemned.count : 1000)
    }

    // MARK: - Sessions

    func closed(_ session: ModelSession) throws {
        sessions.removeAll { $0 === session }
        for consumer in session.consumers { remove(consumer) }
        for queue in queues where queue.gets.contains(where: { $0.session === session }) {
            queue.gets.removeAll { $0.session === session }
            queue.lastUsed = now
        }
        leaving.append(session)
        pendingChanges.removeAll { $0.session === session }
        for ticket in expected.keys where askers[ticket] == session.id { expected[ticket] = nil }
    }

    /// What closed sessions never drained is back: all of it, before any of it is handed on.
    func handBackUndrained() throws {
        let undrained = leaving.flatMap(\.handing)
        for session in leaving { session.handing = [] }
        for copy in undrained { copy.acquired -= 1 }
        try giveBack(undrained, counted: false)
        try dispatchQueues(of: undrained)
    }

    /// A closed session was seen to hold `left` deliveries yet: what it held before those is back.
    func handedBack(_ session: ModelSession, left: Int) throws {
        var back: [Copy] = []
        while session.held.count > left { back.append(session.held.removeFirst().copy) }
        try giveBack(back, counted: true)
        if session.held.isEmpty { leaving.removeAll { $0 === session } }
        try dispatchQueues(of: back)
    }

    /// Only of these: what the next session hands back may come before what stands in others.
    private func dispatchQueues(of copies: [Copy]) throws {
        for queue in queues where copies.contains(where: { $0.queue === queue }) { try dispatch(queue) }
    }

    func closed(connection: Int) throws {
        for session in sessions.filter({ $0.connection == connection }) { try closed(session) }
        for queue in queues.filter({ $0.owner == connection }) { delete(queue) }
    }

    /// The session's events were moved out: automatic-ack deliveries are handed over.
    func drained(_ session: ModelSession, _ taken: [Take], butFor waiting: [Take]) throws {
        for take in taken {
            let held = session.held.first { $0.tag == take.tag }
            guard let held, held.isCountedFirst, held.copy.isDurable, !held.copy.queue.isDeleted else {
                continue
            }
            try require(
                heldOnDisk[held.copy.number] == held.copy.acquired,
                "message \(held.copy.number) was handed over before its delivery was written down")
        }
        session.undrainedBytes = waiting.reduce(0) { $0 + $1.delivery.message.bulk + 64 }
        let handed = session.handing.count - waiting.count(where: \.autoAck)
        for copy in session.handing.prefix(handed) { settle(copy) }
        session.handing.removeFirst(handed)
        try dispatchAll()
    }

    /// The core was seen to take back what was held for too long; that consumer ends, and nothing else.
    func endLeases() throws {
        var back: [Copy] = []
        var over: [ModelConsumer] = []
        for session in sessions {
            let gone = session.held.filter { $0.leaseEnd <= now && !isHeld(session.id, $0.tag) }
            session.held.removeAll { held in gone.contains { $0.tag == held.tag } }
            back += gone.map(\.copy)
            over += gone.compactMap(\.consumer)
        }
        for consumer in over where consumer.session.consumers.contains(where: { $0 === consumer }) {
            ended.append((consumer.session.id, consumer.tag))
            remove(consumer)
        }
        try giveBack(back, counted: true)
    }

    /// Notes when queues become empty: `x-expires-if-empty` counts from then.
    func noteEmptied() {
        for queue in queues where queue.expiresIfEmpty != nil {
            let isEmpty =
                queue.ready.isEmpty && queue.delayed.isEmpty
                && !(sessions + leaving).contains { $0.held.contains { $0.copy.queue === queue } }
            if isEmpty, !queue.wasEmpty { queue.lastUsed = now }
            queue.wasEmpty = isEmpty
        }
    }

    /// Time has passed: queues that nobody uses go, and GETs that have waited long enough end.
    func endUnused() {
        for queue in queues {
            guard let expires = queue.expires ?? queue.expiresIfEmpty, queue.consumers.isEmpty,
                queue.gets.isEmpty
            else { continue }
            if queue.expiresIfEmpty != nil, !queue.wasEmpty { continue }
            if queue.lastUsed + expires <= now { delete(queue) }
        }
    }
}

/// The arguments of an exchange.
func exchangeArguments(_ alternate: String?, _ deduplicate: Int64?) -> FieldTable {
    var arguments = FieldTable()
    arguments["alternate-exchange"] = alternate.map { .string($0) }
    arguments["x-deduplicate"] = deduplicate.map { .int($0) }
    return arguments
}

/// Arguments as the core takes them, names in order.
func fieldTable(_ arguments: [String: ArgumentValue]) -> FieldTable {
    var table = FieldTable()
    for (name, value) in arguments.sorted(by: { $0.key < $1.key }) {
        switch value {
        case .number(let number): table[name] = .int(number)
        case .text(let text): table[name] = .string(text)
        case .flag(let flag): table[name] = .bool(flag)
        }
    }
    return table
}
