// Exchanges, queues and bindings are declared and deleted; what must survive goes into the batch.

import DequeModule

extension BrokerCore {
    /// Carries out a change of the topology and answers once it is durable.
    mutating func change(_ request: Request, _ ticket: Ticket, _ session: Session, now: Instant) {
        let before = gathering.durableChanges
        do throws(BrokerError) {
            let answer = try perform(request, session, now: now)
            settleDying(now: now)
            if gathering.hasRanges || inFlight?.hasRanges == true, case .count = answer {
                gathering.rangeAnswers.append(WaitingAnswer(session: session, ticket: ticket, answer: answer))
                gathering.wants(.now)
            } else if gathering.durableChanges == before, !request.isPassive {
                // What it finds there, or gone, may be so in a batch that is still to be committed.
                answerOnceCommitted(session, ticket, answer, latestDefinitions)
            } else {
                answerDurably(session, ticket, answer, since: before)
            }
        } catch {
            answer(session, ticket, .refused(error))
        }
    }

    /// The last batch with changes to the topology that is not committed; 0 if all of them are.
    var latestDefinitions: BatchNumber {
        if gathering.hasDefinitions { return gathering.batch.number }
        return inFlight?.hasDefinitions == true ? inFlight?.batch.number ?? 0 : 0
    }

    private mutating func perform(
        _ request: Request, _ session: Session, now: Instant
    ) throws(BrokerError) -> Answer {
        let host = session.host
        switch request {
        case .declareExchange(let definition, let passive):
            if try host.topology.declare(definition, passive: passive) {
                settle(exchange: definition.name, in: host)
                if definition.isDurable { gathering.define(.putExchange(definition, in: host.id)) }
                outputs.events.append(.exchangeDeclared(definition.name, in: host.name))
            }
        case .deleteExchange(let name, let ifUnused):
            note(try host.topology.deleteExchange(name, ifUnused: ifUnused), in: host)
        case .declareQueue(let definition, let passive):
            return try declareQueue(definition, passive: passive, session, now: now)
        case .declareReplyQueue:
            let name = QueueName(makeName(QueueName.repliesPrefix))
            let definition = QueueDefinition(name, durable: false, exclusive: true, autoDelete: true)
            try checkRoom(for: name, in: host)
            return try addQueue(definition, session, now: now)
        case .deleteQueue(let name, let ifUnused, let ifEmpty):
            guard queue(named: name, in: host) != nil else { return .count(0) }
            let queue = try usableQueue(name, by: session)
            if ifUnused, !queue.consumers.isEmpty {
                let text =
                    "queue '\(name)' in vhost '\(host.name)' is in use by \(queue.consumers.count) consumers"
                throw BrokerError(.preconditionFailed, text)
            }
            if ifEmpty, queue.readyCount + queue.delayed.count > 0 {
                let text =
                    "queue '\(name)' in vhost '\(host.name)' is not empty: \(queue.readyCount) messages are ready, "
                    + "\(queue.delayed.count) delayed"
                throw BrokerError(.preconditionFailed, text)
            }
            return .count(deleteQueue(queue, now: now))
        case .bind(let binding):
            try checkTarget(of: binding, session)
            if try host.topology.bind(binding), survives(binding, in: host) {
                gathering.define(.putBinding(binding, in: host.id))
            }
        case .unbind(let binding):
            try unbind(binding, session)
        case .purge(let name):
            let queue = try usableQueue(name, by: session)
            let count = purge(queue)
            dispatch(queue, now: now)
            if count > 0 { noteEmptied(queue, now: now) }
            return .count(count)
        case .setPaused(let name, let isPaused):
            setPaused(try usableQueue(name, by: session), isPaused, now: now)
        case .publish, .settle, .settleAtCommit, .rollBack, .touch, .amend, .get, .endGet, .consume, .cancel,
            .setSessionPrefetch, .recover, .move, .transaction, .cancelMessage, .edit, .peek, .list, .status,
            .setPolicy, .deletePolicy,
            .why, .route, .query, .closeConnection, .setLogLevel, .restore, .enter, .createVirtualHost,
            .deleteVirtualHost, .limitVirtualHost, .administer:
            break
        }
        return .done
    }

    /// A binding of another connection's exclusive queue can't be touched.
    private func checkTarget(of binding: Binding, _ session: Session) throws(BrokerError) {
        if case .queue(let name) = binding.target, queue(named: name, in: session.host) != nil {
            _ = try usableQueue(name, by: session)
        }
    }

    /// True where a binding is there after a restart: both its ends are.
    private func survives(_ binding: Binding, in host: VirtualHost) -> Bool {
        guard host.topology.exchange(binding.source)?.isDurable == true else { return false }
        switch binding.target {
        case .queue(let name): return queue(named: name, in: host)?.survives == true
        case .exchange(let name): return host.topology.exchange(name)?.isDurable == true
        }
    }

    /// Writes down what went from a topology. Removing a binding that was never stored does no harm.
    private mutating func note(_ removal: TopologyRemoval, in host: VirtualHost) {
        let gone = Set(removal.exchanges.filter(\.isDurable).map(\.name))
        for binding in removal.bindings
        where gone.contains(binding.source) || host.topology.exchange(binding.source)?.isDurable == true {
            gathering.define(.deleteBinding(binding, in: host.id))
        }
        for exchange in removal.exchanges {
            if exchange.isDurable { gathering.define(.deleteExchange(exchange.name, in: host.id)) }
            noteDeduplication(of: exchange.name, in: host, for: nil)
            if host.exchangesWithIDs.remove(exchange.name) != nil {
                forgetIDs(of: .exchange(exchange.name, in: host.id))
            }
            outputs.events.append(.exchangeDeleted(exchange.name, in: host.name))
        }
    }

    private mutating func unbind(_ binding: Binding, _ session: Session) throws(BrokerError) {
        do throws(BrokerError) {
            try checkTarget(of: binding, session)
            note(try session.host.topology.unbind(binding), in: session.host)
        } catch {
            // Over AMQP a refusal would close the channel; in RabbitMQ what is gone is unbound.
            guard session.stopsAtRefusal, error.code == .notFound else { throw error }
        }
    }

    // MARK: - Queues

    private mutating func declareQueue(
        _ definition: QueueDefinition, passive: Bool, _ session: Session, now: Instant
    ) throws(BrokerError) -> Answer {
        var definition = definition
        let host = session.host
        if !definition.name.rawValue.isEmpty, let found = queue(named: definition.name, in: host) {
            // Who answers may ask whether the one that asked is still there.
            let isQuestion = passive && definition.name.isForReplies
            let queue = isQuestion ? found : try usableQueue(definition.name, by: session)
            if !passive,
                let difference = QueueSettings.inequivalence(
                    of: definition, to: queue.definition, in: host.name)
            {
                throw difference
            }
            queue.lastUsed = now
            arm(queue)
            return .declared(queue.name, ready: queue.readyCount, consumers: queue.consumers.count)
        }
        if passive { throw .noQueue(definition.name, in: host.name) }
        try checkRoom(for: definition.name, in: host)
        if definition.name.rawValue.isEmpty {
            definition.name = QueueName(makeName("amq.gen-"))
        } else {
            try checkNewName(definition.name)
        }
        return try addQueue(definition, session, now: now)
    }

    private mutating func addQueue(
        _ definition: QueueDefinition, _ session: Session, now: Instant
    ) throws(BrokerError) -> Answer {
        let host = session.host
        try FieldTableCodec.check(definition.arguments)
        let settings = try QueueSettings(definition, in: host.name)
        let owner = definition.isExclusive ? session.connection : nil
        let queue = createQueue(definition, in: host, settings, owner: owner, now: now)
        return .declared(queue.name, ready: 0, consumers: 0)
    }

    private func checkRoom(for name: QueueName, in host: VirtualHost) throws(BrokerError) {
        guard let most = host.limits.queuesMax, host.topology.queues.count >= most else { return }
        throw BrokerError(
            .preconditionFailed,
            "cannot declare queue '\(name)': queue limit in vhost '\(host.name)' (\(most)) "
                + "is reached")
    }

    private func checkNewName(_ name: QueueName) throws(BrokerError) {
        try ShortString.check(name.rawValue, "the name of a queue")
        if let prefix = Topology.reservedPrefix(of: name.rawValue) {
            throw BrokerError(
                .accessRefused,
                "queue name '\(name)' contains reserved prefix '\(prefix)*'; choose another name")
        }
    }

    /// Makes a queue that is not there.
    mutating func createQueue(
        _ definition: QueueDefinition, in host: VirtualHost, _ settings: QueueSettings, owner: Connection?,
        now: Instant
    ) -> MessageQueue {
        let id = nextQueueID
        nextQueueID = QueueID(id.rawValue + 1)
        let queue = addQueue(definition, in: host, id: id, settings: settings, now: now)
        queue.owner = owner
        owner?.exclusiveQueues.append(queue)
        if queue.survives { gathering.define(.putQueue(id, definition, in: host.id)) }
        outputs.events.append(.queueDeclared(queue.name, in: host.name))
        arm(queue)
        return queue
    }

    /// Gives a queue its slot.
    mutating func addQueue(
        _ definition: QueueDefinition, in host: VirtualHost, id: QueueID, settings: QueueSettings,
        now: Instant
    ) -> MessageQueue {
        let slot = QueueSlot(freeSlots.popLast() ?? Int32(queues.count))
        let queue = MessageQueue(
            id: id, slot: slot, host: host, definition: definition, settings: settings, now: now)
        if Int(slot.rawValue) == queues.count {
            queues.append(queue)
        } else {
            queues[Int(slot.rawValue)] = queue
        }
        queuesByID[id] = queue
        chooseMarks(of: queue)
        if settings.deduplication != nil { dedupScopes += 1 }
        host.topology.addQueue(definition.name, slot: slot)
        if !host.policies.isEmpty { _ = applyPolicies(to: queue, isNew: true, now: now) }
        return queue
    }

    /// Deletes a queue with its messages, bindings and consumers. Returns how many messages were ready.
    mutating func deleteQueue(_ queue: MessageQueue, now: Instant) -> Int {
        guard !queue.isDeleted else { return 0 }
        queue.isDeleted = true
        let count = queue.readyCount
        let host = queue.host
        // A deleted virtual host has let go of all its names, on the disk too.
        var removal = host.isDeleted ? TopologyRemoval() : host.topology.removeQueue(queue.name)
        // Bindings to a queue that does not survive were never stored; those of an exchange that goes along were.
        if !queue.survives { removal.bindings.removeAll { $0.target == .queue(queue.name) } }
        note(removal, in: host)
        if queue.survives, !host.isDeleted { gathering.define(.deleteQueue(queue.id)) }
        if queue.survives || queue.hasSpilled {
            gathering.remove(RangeRemoval(queue: queue.id, after: .first, through: lastNumber))
        }
        for entry in queue.removeAll(through: lastNumber) { messageBytes -= entry.footprint }
        if queue.settings.deduplication != nil {
            dedupScopes -= 1
            forgetIDs(of: .queue(queue.id))
        } else if queue.hasDeduplicated {
            seenIDs.forget(.queue(queue.id))
        }
        for delayed in queue.delayed.removeAll() { messageBytes -= delayed.entry.footprint }
        for consumer in queue.consumers {
            consumer.isCancelled = true
            post(.consumerEnded(consumer.tag, .queueDeleted), to: consumer.session)
            outputs.events.append(.consumerRemoved(queue.name, consumer.tag, in: host.name))
        }
        for session in queue.consumers.eachOnce(\.session) {
            session.consumers.removeAll(where: \.isCancelled)
        }
        queue.consumers = []
        queue.active = nil
        let gone = BrokerError(.notFound, "queue '\(queue.name)' was deleted while this GET waited")
        end(queue.gets.removeAll(), with: .refused(gone))
        queue.epoch += 1
        resumeMoves(from: queue)
        queue.owner?.exclusiveQueues.removeAll { $0 === queue }
        queuesByID[queue.id] = nil
        queues[Int(queue.slot.rawValue)] = nil
        freeSlots.append(queue.slot.rawValue)
        outputs.events.append(.queueDeleted(queue.name, in: host.name))
        return count
    }

    /// Removes what is ready. Returns how many messages that were.
    private mutating func purge(_ queue: MessageQueue) -> Int {
        let count = queue.readyCount
        for priority in queue.priorities where queue[priority].storedCount > 0 {
            let range = RangeRemoval(
                queue: queue.id, after: queue[priority].cursor, through: lastNumber,
                priority: queue.column(priority))
            gathering.remove(range)
            if idLookup != nil { idLookup?.purged.append(range) }
        }
        for entry in queue.removeAll(through: lastNumber) {
            messageBytes -= entry.footprint
            fireOfGone(takeConfirm(of: entry))
            removeRow(of: entry)
            forgetID(of: entry.number)
        }
        forgetPurgedIDs(of: queue)
        dropAnswersUnderWay(for: queue)
        return count
    }

    /// The last number that was given out.
    var lastNumber: MessageNumber { MessageNumber(nextNumber.rawValue - 1) }
}

extension Request {
    /// A declaration that only asks whether something is there.
    fileprivate var isPassive: Bool {
        switch self {
        case .declareQueue(_, let passive), .declareExchange(_, let passive): passive
        default: false
        }
    }
}
