// Connections and sessions come and go, and what they ask is sent to where it is answered.

import DequeModule

extension BrokerCore {
    /// A client is there. `name` is what listings call it; who opens it `isClosable` obeys `outputs.closings`.
    public mutating func openConnection(
        name: String, isClosable: Bool = false, client: ClientDescription = ClientDescription(), now: Instant
    ) -> ConnectionID {
        let connection = Connection(
            id: ConnectionID(nextConnection), name: name, since: now, isClosable: isClosable, client: client)
        nextConnection += 1
        connections.append(connection)
        connectionsByID[connection.id] = connection
        return connection.id
    }

    /// A client is gone: its sessions are closed and its exclusive queues deleted.
    public mutating func closeConnection(_ id: ConnectionID, now: Instant) {
        guard let connection = connectionsByID.removeValue(forKey: id) else { return }
        // None of them takes what another hands back: that would count as a failure once more.
        let sessions = connection.removeSessions()
        let queues = sessions.flatMap { endTaking($0, now: now) }
        let exclusive = connection.exclusiveQueues
        connection.exclusiveQueues = []
        for queue in exclusive { _ = deleteQueue(queue, now: now) }
        handBack(sessions, now: now)
        for queue in queues { dispatch(queue, now: now) }
        leaveHome(connection)
        connections.removeAll { $0 === connection }
        settleDying(now: now)
    }

    /// Has connections closed by those who opened them: the one of this number, or those of this name.
    private mutating func close(
        _ name: String, reason: String, _ ticket: Ticket, _ session: Session
    ) {
        let numbered = UInt64(name).flatMap { connectionsByID[ConnectionID($0)] }
        // A client's own name has its address behind it.
        let chosen =
            numbered.map { [$0] } ?? connections.filter { $0.name == name || $0.name.hasPrefix(name + " ") }
        guard !chosen.isEmpty else {
            let text =
                "no connection has the number or the name '\(name)'; LIST connections, or 'leveret connections', "
                + "shows them"
            return answer(session, ticket, .refused(BrokerError(.notFound, text)))
        }
        if let own = chosen.first(where: { !$0.isClosable }) {
            let text = "connection '\(own.name)' is of the program that the broker runs in; end it there"
            return answer(session, ticket, .refused(BrokerError(.accessRefused, text)))
        }
        outputs.closings += chosen.map { Closing(connection: $0.id, reason: reason) }
        answer(session, ticket, .count(chosen.count))
    }

    /// Opens a session of a connection. One that `stopsAtRefusal` does nothing of what is submitted behind a request
    /// that was refused, and answers none of it; only that a queue is full doesn't stop it.
    public mutating func openSession(
        on connection: ConnectionID, stopsAtRefusal: Bool = false, now: Instant
    ) -> SessionID {
        let id = SessionID(nextSession)
        nextSession += 1
        guard let connection = connectionsByID[connection] else { return id }
        let session = Session(
            id: id, connection: connection, host: connection.home ?? defaultHost,
            stopsAtRefusal: stopsAtRefusal, limits: limits)
        connection.add(session)
        sessionsByID[id] = session
        beginAtHome(session)
        session.access = access(of: session, isNew: true)
        if isDraining { post(.notice(.draining), to: session) }
        if let alarm { tell(session, .blocked(alarm)) }
        return id
    }

    /// The doors of sessions have been asked what they know.
    public mutating func noted(_ notes: SessionNotes, of id: SessionID) { sessionsByID[id]?.notes = notes }

    /// Closes a session: its consumers end, and all it holds goes back to its places, counted as failed.
    /// What it never drained goes back uncounted.
    public mutating func closeSession(_ id: SessionID, now: Instant) {
        guard let session = sessionsByID[id] else { return }
        let queues = endTaking(session, now: now)
        handBack([session], now: now)
        for queue in queues { dispatch(queue, now: now) }
        settleDying(now: now)
    }

    /// A session that closes takes no more: its consumers and GETs end. Returns the queues in which another
    /// consumer takes over.
    private mutating func endTaking(_ session: Session, now: Instant) -> [MessageQueue] {
        sessionsByID[session.id] = nil
        session.isClosed = true
        leave(session)
        session.outgoing = []
        session.marks.removeAll()
        session.connection.remove(session)
        let queues = session.consumers.eachOnce(\.queue).filter { $0.settings.isSingleActive }
        remove(session.consumers, now: now)
        for queue in session.takePassedOver() { queue.gets.resume(session.id) }
        guard session.waitingGets > 0 else { return queues }
        for case .some(let queue) in self.queues where !queue.gets.isEmpty {
            if !queue.gets.removeAll(of: session.id).isEmpty { noteUsed(queue, now: now) }
        }
        return queues
    }

    private mutating func handBack(_ sessions: [Session], now: Instant) {
        // What was never drained first: until all of it is back, a queue may look empty that isn't.
        var queues: [MessageQueue] = []
        for session in sessions {
            _ = session.takeClaims()
            let undrained = session.handingOver
            session.handingOver = []
            for var held in undrained {
                held.entry.acquired -= 1
                giveBack(held, counted: false, now: now)
                if queues.last !== held.queue { queues.append(held.queue) }
            }
        }
        for queue in queues { returned(to: queue, now: now) }
        for session in sessions {
            guard giveBackSlice(of: session, now: now) else { continue }
            session.isComingBack = true
            _ = session.updateHeld(from: 0) { _, held in
                held.queue.comingBack += 1
                return true
            }
            work.append(.giveBack(session))
        }
    }

    /// Something runs out, or with `nil` does so no more. Publishes are refused while one of those that refuse them
    /// holds.
    public mutating func setAlarm(_ text: String?, cause: AlarmCause = .store, now: Instant) {
        guard alarms[cause] != text else { return }
        alarms[cause] = text
        if let text { outputs.events.append(.alarmRaised(text)) }
        if alarms.isEmpty, warnings.isEmpty { outputs.events.append(.alarmCleared) }
        let former = alarm
        alarm = AlarmCause.allCases.first { $0.refusesPublishes && alarms[$0] != nil }.flatMap { alarms[$0] }
        guard alarm != former else { return }
        tellAll(alarm.map { .blocked($0) } ?? .unblocked)
    }

    /// What is wrong although all goes on: shown beside the alarm, and it refuses nothing.
    public mutating func setWarnings(_ texts: [String]) {
        for text in texts where !warnings.contains(text) { outputs.events.append(.alarmRaised(text)) }
        if texts.isEmpty, !warnings.isEmpty, alarms.isEmpty { outputs.events.append(.alarmCleared) }
        warnings = texts
    }

    /// The broker shuts down: no dispatch, no publishes, no consumers from here on.
    public mutating func beginDraining(now: Instant) {
        guard !isDraining else { return }
        isDraining = true
        tellAll(.draining)
        for case .some(let queue) in queues { end(queue.gets.removeAll(), with: .empty) }
    }

    private mutating func tellAll(_ notice: Notice) {
        for connection in connections {
            for session in connection.sessions { tell(session, notice) }
        }
    }

    private mutating func tell(_ session: Session, _ notice: Notice) {
        if case .blocked = notice { session.isAlarmUntold = true }
        post(.notice(notice), to: session)
    }

    /// Carries out one request; what comes of it waits in the session's events.
    public mutating func submit(_ ticket: Ticket, _ request: Request, from id: SessionID, now: Instant) {
        guard let session = sessionsByID[id], !session.hasStopped else { return }
        perform(request, ticket, session, now: now)
    }

    /// Carries out requests in order; what comes of them waits in the session's events.
    public mutating func submit(_ submissions: [Submission], from id: SessionID, now: Instant) {
        guard let session = sessionsByID[id] else { return }
        submissions.withUnsafeBufferPointer { submissions in
            for index in submissions.indices where !session.hasStopped {
                perform(submissions[index].request, submissions[index].ticket, session, now: now)
            }
        }
    }

    private mutating func perform(_ request: Request, _ ticket: Ticket, _ session: Session, now: Instant) {
        if let access = session.access {
            do throws(BrokerError) { try access.check(request) } catch {
                return answer(session, ticket, .refused(error))
            }
        }
        guard session.isAdmitted || admits(request, ticket, session) else { return }
        switch request {
        case .publish(let message, let mandatory):
            publish(message, mandatory: mandatory, ticket, session, in: session.host, now: now)
        case .settle(let settlement): settle(settlement, ticket, session, now: now)
        case .settleAtCommit(let settlement): claim(settlement, ticket, session)
        case .rollBack:
            _ = session.takeClaims()
            answer(session, ticket, .done)
        case .get(let queue, let autoAck, let wait):
            get(queue, autoAck: autoAck, waitMilliseconds: wait, ticket, session, now: now)
        case .touch(let tag, let milliseconds): touch(tag, for: milliseconds, ticket, session, now: now)
        case .amend(let amendment): amend(amendment, ticket, session, now: now)
        case .endGet(let queue, let get): endGet(of: queue, get, ticket, session, now: now)
        case .consume(let consume): self.consume(consume, ticket, session, now: now)
        case .cancel(let tag, let requeue): cancel(tag, requeue: requeue, ticket, session, now: now)
        case .setSessionPrefetch(let count):
            session.prefetch = max(0, count)
            answer(session, ticket, .done)
            for consumer in session.consumers { dispatch(consumer.queue, now: now) }
        case .recover: recover(session, ticket, now: now)
        case .move(let move): self.move(move, in: session.host, ticket, session, now: now)
        case .restore(let restored): restore(restored, ticket, session, now: now)
        case .transaction(let requests): transaction(requests, ticket, session, in: session.host, now: now)
        case .cancelMessage(let queue, let position):
            change(position, of: queue, in: session.host, .cancel, ticket, session, now: now)
        case .edit(let edit):
            change(edit.position, of: edit.queue, in: session.host, .edit(edit), ticket, session, now: now)
        case .peek(let peek): self.peek(peek, ticket, session, now: now)
        case .query(let sql): query(sql, ticket, session, now: now)
        case .list(let listing, let match, let after):
            list(listing, match: match, after: after, ticket, session, now: now)
        case .status(let queue): status(of: queue, ticket, session, now: now)
        case .setPolicy(let policy): setPolicy(policy, ticket, session, now: now)
        case .deletePolicy(let name, let isOperator):
            deletePolicy(name, isOperator: isOperator, ticket, session, now: now)
        case .enter(let name): enter(name, ticket, session)
        case .createVirtualHost(let name): createVirtualHost(name, ticket, session)
        case .limitVirtualHost(let name, let limits): limitVirtualHost(name, limits, ticket, session)
        case .deleteVirtualHost(let name): deleteVirtualHost(name, ticket, session, now: now)
        case .closeConnection(let name, let reason): close(name, reason: reason, ticket, session)
        case .setLogLevel(let level): setLogLevel(level, ticket, session)
        case .administer(let request): administer(request, ticket, session, now: now)
        case .why(let queue): why(queue, ticket, session, now: now)
        case .route(let message, let after): route(message, after: after, ticket, session)
        case .declareExchange, .deleteExchange, .declareQueue, .declareReplyQueue, .deleteQueue, .bind,
            .unbind, .purge,
            .setPaused:
            change(request, ticket, session, now: now)
        }
        if !dying.isEmpty { settleDying(now: now) }
    }

    /// Hands back everything the session holds that no transaction is to settle, free of charge.
    private mutating func recover(_ session: Session, _ ticket: Ticket, now: Instant) {
        let settlement = Settlement(.requeue, 0, multiple: true)
        settle(settlement, ticket, session, now: now)
    }

    /// The queue of this name where the session is, if it may use it.
    func usableQueue(_ name: QueueName, by session: Session) throws(BrokerError) -> MessageQueue {
        try usableQueue(name, in: session.host, by: session)
    }

    /// The queue of this name in a virtual host, if the session may use it.
    func usableQueue(
        _ name: QueueName, in host: VirtualHost, by session: Session
    ) throws(BrokerError) -> MessageQueue {
        guard let queue = queue(named: name, in: host) else { throw .noQueue(name, in: host.name) }
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
