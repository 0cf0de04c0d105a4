// Connections and sessions come and go, and what they ask is sent to where it is answered.

extension BrokerCore {
    /// A client is there. `name` is what listings call it.
    public mutating func openConnection(name: String, now: Instant) -> ConnectionID {
        let connection = Connection(id: ConnectionID(nextConnection), name: name, since: now)
        nextConnection += 1
        connections.append(connection)
        connectionsByID[connection.id] = connection
        return connection.id
    }

    /// A client is gone: its sessions are closed and its exclusive queues deleted.
    public mutating func closeConnection(_ id: ConnectionID, now: Instant) {
        guard let connection = connectionsByID.removeValue(forKey: id) else { return }
        // None of them takes what another hands back: that would count as a failure once more.
        let sessions = connection.sessions
        for session in sessions { endTaking(session, now: now) }
        for queue in connection.exclusiveQueues { _ = deleteQueue(queue, now: now) }
        for session in sessions { handBack(session, now: now) }
        connections.removeAll { $0 === connection }
        settleDying(now: now)
    }

    /// Opens a session of a connection.
    public mutating func openSession(on connection: ConnectionID, now: Instant) -> SessionID {
        let id = SessionID(nextSession)
        nextSession += 1
        guard let connection = connectionsByID[connection] else { return id }
        let session = Session(id: id, connection: connection, limits: limits)
        connection.sessions.append(session)
        sessionsByID[id] = session
        if isDraining { post(.notice(.draining), to: session) }
        return id
    }

    /// Closes a session: its consumers end, and all it holds goes back to its places, counted as failed.
    /// What it never drained goes back uncounted.
    public mutating func closeSession(_ id: SessionID, now: Instant) {
        guard let session = sessionsByID[id] else { return }
        endTaking(session, now: now)
        handBack(session, now: now)
        settleDying(now: now)
    }

    /// A session that closes takes no more: its consumers and GETs end.
    private mutating func endTaking(_ session: Session, now: Instant) {
        sessionsByID[session.id] = nil
        session.isClosed = true
        session.outgoing = []
        session.connection.sessions.removeAll { $0 === session }
        for consumer in session.consumers { remove(consumer, now: now) }
        guard session.waitingGets > 0 else { return }
        for case .some(let queue) in queues where queue.gets.contains(where: { $0.session === session }) {
            queue.gets.removeAll { $0.session === session }
            arm(queue)
        }
    }

    private mutating func handBack(_ session: Session, now: Instant) {
        let undrained = session.handingOver
        session.handingOver = []
        for var held in undrained {
            held.entry.acquired -= 1
            giveBack(held, counted: false, now: now)
            returned(to: held.queue, now: now)
        }
        if giveBackSlice(of: session, now: now) { work.append(.giveBack(session)) }
    }

    /// Publishes are refused with this text, or with `nil` taken again.
    public mutating func setAlarm(_ text: String?, now: Instant) {
        guard alarm != text else { return }
        let wasRaised = alarm != nil
        alarm = text
        if let text {
            outputs.events.append(.alarmRaised(text))
            tellAll(.blocked(text))
        } else if wasRaised {
            outputs.events.append(.alarmCleared)
            tellAll(.unblocked)
        }
    }

    /// What is wrong although all goes on: shown beside the alarm, and it refuses nothing.
    public mutating func setWarnings(_ texts: [String]) {
        for text in texts where !warnings.contains(text) { outputs.events.append(.alarmRaised(text)) }
        if texts.isEmpty, !warnings.isEmpty, alarm == nil { outputs.events.append(.alarmCleared) }
        warnings = texts
    }

    /// The broker shuts down: no dispatch, no publishes, no consumers from here on.
    public mutating func beginDraining(now: Instant) {
        guard !isDraining else { return }
        isDraining = true
        tellAll(.draining)
        for case .some(let queue) in queues { endGets(of: queue, with: .empty) { _ in true } }
    }

    private mutating func tellAll(_ notice: Notice) {
        for connection in connections {
            for session in connection.sessions { post(.notice(notice), to: session) }
        }
    }

    /// Carries out one request; what comes of it waits in the session's events.
    public mutating func submit(_ ticket: Ticket, _ request: Request, from id: SessionID, now: Instant) {
        guard let session = sessionsByID[id] else { return }
        perform(request, ticket, session, now: now)
    }

    /// Carries out requests in order; what comes of them waits in the session's events.
    public mutating func submit(_ submissions: [Submission], from id: SessionID, now: Instant) {
        guard let session = sessionsByID[id] else { return }
        submissions.withUnsafeBufferPointer { submissions in
            for index in submissions.indices {
                perform(submissions[index].request, submissions[index].ticket, session, now: now)
            }
        }
    }

    private mutating func perform(_ request: Request, _ ticket: Ticket, _ session: Session, now: Instant) {
        switch request {
        case .publish(let message, let mandatory):
            publish(message, mandatory: mandatory, ticket, session, now: now)
        case .settle(let settlement): settle(settlement, ticket, session, now: now)
        case .get(let queue, let autoAck, let wait):
            get(queue, autoAck: autoAck, waitMilliseconds: wait, ticket, session, now: now)
        case .endGet(let queue, let get): endGet(of: queue, get, ticket, session)
        case .consume(let consume): self.consume(consume, ticket, session, now: now)
        case .cancel(let tag, let requeue): cancel(tag, requeue: requeue, ticket, session, now: now)
        case .setSessionPrefetch(let count):
            session.prefetch = max(0, count)
            answer(session, ticket, .done)
            for consumer in session.consumers { dispatch(consumer.queue, now: now) }
        case .recover: recover(session, ticket, now: now)
        case .move(let move): self.move(move, ticket, session, now: now)
        case .transaction(let requests): transaction(requests, ticket, session, now: now)
        case .peek(let peek): self.peek(peek, ticket, session, now: now)
        case .list(let listing, let match): list(listing, match: match, ticket, session, now: now)
        case .status(let queue): status(of: queue, ticket, session, now: now)
        case .route(let message):
            let missing = BrokerError(.notFound, "no exchange '\(message.exchange)' in vhost '/'")
            let isThere = topology.exchange(message.exchange) != nil
            answer(session, ticket, isThere ? .routes(topology.explain(message)) : .refused(missing))
        case .declareExchange, .deleteExchange, .declareQueue, .deleteQueue, .bind, .unbind, .purge:
            change(request, ticket, session, now: now)
        }
        if !dying.isEmpty { settleDying(now: now) }
    }

    /// Hands back everything the session holds, free of charge.
    private mutating func recover(_ session: Session, _ ticket: Ticket, now: Instant) {
        let settlement = Settlement(.requeue, 0, multiple: true)
        settle(settlement, ticket, session, now: now)
    }

    // MARK: - Consumers

    private mutating func consume(_ consume: Consume, _ ticket: Ticket, _ session: Session, now: Instant) {
        do throws(BrokerError) {
            if isDraining { throw BrokerError(.connectionForced, "the broker is shutting down") }
            let queue = try usableQueue(consume.queue, by: session)
            let tag = consume.tag ?? ConsumerTag(makeName("amq.ctag-"))
            if session.consumers.contains(where: { $0.tag == tag }) {
                throw BrokerError(
                    .notAllowed, "consumer '\(tag)' exists on this session already; pick another name")
            }
            if consume.prefetch < 0 {
                throw BrokerError(
                    .preconditionFailed, "prefetch \(consume.prefetch) is negative; 0 is without limit")
            }
            if let other = queue.consumers.first, other.isExclusive || consume.isExclusive {
                let kind = other.isExclusive ? "an exclusive consumer" : "consumers"
                let text = "queue '\(queue.name)' has \(kind) already; exclusive access is refused"
                throw BrokerError(.accessRefused, text)
            }
            let consumer = Consumer(consume, tag: tag, session: session, queue: queue)
            session.consumers.append(consumer)
            queue.consumers.append(consumer)
            outputs.events.append(.consumerAdded(queue.name, tag))
            answer(session, ticket, .consuming(tag))
            dispatch(queue, now: now)
        } catch {
            answer(session, ticket, .refused(error))
        }
    }

    private mutating func cancel(
        _ tag: ConsumerTag, requeue: Bool, _ ticket: Ticket, _ session: Session, now: Instant
    ) {
        guard let consumer = session.consumers.first(where: { $0.tag == tag }) else {
            let text = "no consumer '\(tag)' on this session"
            return answer(session, ticket, .refused(BrokerError(.notFound, text)))
        }
        let before = gathering.durableChanges
        let queue = consumer.queue
        if requeue {
            for tag in session.heldTags() where session.isHeld(tag, by: consumer) {
                guard let held = session.release(tag) else { continue }
                giveBack(held, counted: false, now: now)
            }
        }
        remove(consumer, now: now)
        returned(to: queue, now: now)
        dispatchBlocked(by: session, now: now)
        settleDying(now: now)
        answerDurably(session, ticket, .done, since: before)
    }

    /// Takes a consumer off its queue; an auto-delete queue goes with its last.
    private mutating func remove(_ consumer: Consumer, now: Instant) {
        let queue = consumer.queue
        consumer.isCancelled = true
        consumer.session.consumers.removeAll { $0 === consumer }
        queue.consumers.removeAll { $0 === consumer }
        queue.nextConsumer = 0
        queue.lastUsed = now
        outputs.events.append(.consumerRemoved(queue.name, consumer.tag))
        if queue.definition.isAutoDelete, queue.consumers.isEmpty, !queue.isDeleted {
            _ = deleteQueue(queue, now: now)
        } else {
            arm(queue)
        }
    }

    /// The queue of this name, if the session may use it.
    func usableQueue(_ name: QueueName, by session: Session) throws(BrokerError) -> MessageQueue {
        guard let queue = queue(named: name) else {
            throw BrokerError(.notFound, "no queue '\(name)' in vhost '/'")
        }
        if queue.definition.isExclusive, queue.owner !== session.connection {
            let text = "queue '\(name)' is exclusive to another connection; use it there or pick another name"
            throw BrokerError(.resourceLocked, text)
        }
        return queue
    }

    /// A name that nobody has: `prefix` and 22 characters.
    mutating func makeName(_ prefix: String) -> String {
        let alphabet = Array("0123456789ABCDEFGHJKMNPQRSTVWXYZ")
        var name = prefix
        for _ in 0..<2 {
            var bits = generator.next()
            for _ in 0..<11 {
                name.append(alphabet[Int(bits & 31)])
                bits >>= 5
            }
        }
        return name
    }
}
