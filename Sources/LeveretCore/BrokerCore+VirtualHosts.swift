// Virtual hosts come and go, and sessions enter them. One that is deleted loses its name, its exchanges and its
// policies at once; its queues go slice by slice.

import DequeModule

/// The queues of a deleted virtual host that are still to go.
final class VirtualHostDeletion {
    let session: Session
    let ticket: Ticket
    var queues: Deque<MessageQueue>
    /// Messages that were ready in those that are gone.
    var count = 0

    init(_ queues: Deque<MessageQueue>, session: Session, ticket: Ticket) {
        self.queues = queues
        self.session = session
        self.ticket = ticket
    }
}

extension BrokerCore {
    /// The virtual host of this name, or 404.
    func virtualHost(_ name: VirtualHostName) throws(BrokerError) -> VirtualHost {
        guard let host = virtualHostsByName[name] else {
            throw BrokerError(.notFound, "no vhost '\(name)'")
        }
        return host
    }

    /// In which virtual host a session is; `nil` for a session that is closed.
    public func virtualHost(of session: SessionID) -> VirtualHostName? { sessionsByID[session]?.host.name }

    /// Makes a virtual host known whose name is not.
    mutating func add(_ host: VirtualHost) {
        let place = virtualHosts.firstIndex { host.name < $0.name } ?? virtualHosts.count
        virtualHosts.insert(host, at: place)
        virtualHostsByName[host.name] = host
        nextVirtualHostID = max(nextVirtualHostID, VirtualHostID(host.id.rawValue + 1))
    }

    /// Creates a virtual host, unless it is there.
    mutating func createVirtualHost(_ name: VirtualHostName, _ ticket: Ticket, _ session: Session) {
        guard virtualHostsByName[name] == nil else {
            return answerOnceCommitted(session, ticket, .done, latestDefinitions)
        }
        do throws(BrokerError) {
            guard !name.rawValue.isEmpty else {
                throw BrokerError(.preconditionFailed, "the name of a vhost is empty; it has 1 to 255 bytes")
            }
            try ShortString.check(name.rawValue, "the name of a vhost")
            guard virtualHosts.count < limits.virtualHostsMax else {
                throw BrokerError(
                    .resourceError, "there are \(virtualHosts.count) vhosts, as many as there may be")
            }
        } catch {
            return answer(session, ticket, .refused(error))
        }
        let before = gathering.durableChanges
        let host = VirtualHost(id: nextVirtualHostID, name: name)
        add(host)
        gathering.define(.putVirtualHost(host.id, name, host.limits))
        outputs.events.append(.virtualHostCreated(name))
        answerDurably(session, ticket, .done, since: before)
    }

    /// Sets what a virtual host may have at most. What it has already, it keeps.
    mutating func limitVirtualHost(
        _ name: VirtualHostName, _ newLimits: VirtualHostLimits, _ ticket: Ticket, _ session: Session
    ) {
        do throws(BrokerError) {
            let host = try virtualHost(name)
            for most in [newLimits.queuesMax, newLimits.connectionsMax].compactMap({ $0 }) where most < 0 {
                throw BrokerError(
                    .preconditionFailed, "a limit of \(most) for vhost '\(name)'; it is 0 or more")
            }
            let before = gathering.durableChanges
            host.limits = newLimits
            gathering.define(.putVirtualHost(host.id, name, newLimits))
            answerDurably(session, ticket, .done, since: before)
        } catch {
            answer(session, ticket, .refused(error))
        }
    }

    /// Every virtual host whose name matches, by name. O(queues).
    func virtualHostInfos(matching glob: Glob?) -> [VirtualHostInfo] {
        var infos: [VirtualHostID: VirtualHostInfo] = [:]
        for host in virtualHosts where glob?.matches(host.name.rawValue) ?? true {
            var info = VirtualHostInfo(name: host.name, limits: host.limits)
            info.queues = host.topology.queues.count
            info.connections = host.connections
            infos[host.id] = info
        }
        for case .some(let queue) in queues {
            infos[queue.host.id]?.ready += queue.readyCount
            infos[queue.host.id]?.unacked += queue.unackedCount
            infos[queue.host.id]?.delayed += queue.delayed.count
        }
        return virtualHosts.compactMap { infos[$0.id] }
    }

    // MARK: - Deleting

    /// Deletes a virtual host with everything in it. Connections that have a session in it are closed by those who
    /// opened them; sessions of the program's own are refused from then on.
    mutating func deleteVirtualHost(
        _ name: VirtualHostName, _ ticket: Ticket, _ session: Session, now: Instant
    ) {
        guard let host = virtualHostsByName[name] else {
            return answerOnceCommitted(session, ticket, .count(0), latestDefinitions)
        }
        do throws(BrokerError) {
            guard name != .default else {
                throw BrokerError(
                    .accessRefused, "vhost '/' can't be deleted; delete what is in it, or leave it empty")
            }
            guard session.host !== host else {
                throw BrokerError(
                    .preconditionFailed,
                    "vhost '\(name)' is the one that this session is in; enter another first")
            }
        } catch {
            return answer(session, ticket, .refused(error))
        }
        host.isDeleted = true
        virtualHosts.removeAll { $0 === host }
        virtualHostsByName[name] = nil
        expelSessions(from: host)
        gathering.define(.deleteVirtualHost(host.id))
        forgetPermissions(in: name)
        let queues = forgetNames(in: host)
        outputs.events.append(.virtualHostDeleted(name))
        deleteSlice(VirtualHostDeletion(queues, session: session, ticket: ticket), now: now)
    }

    private mutating func expelSessions(from host: VirtualHost) {
        for connection in connections {
            guard connection.sessionsByHost.removeValue(forKey: host.id) != nil else { continue }
            for session in connection.sessions where session.host === host { session.isAdmitted = false }
            guard connection.isClosable else { continue }
            outputs.closings.append(
                Closing(connection: connection.id, reason: "vhost '\(host.name)' is deleted"))
        }
        host.connections = 0
    }

    /// Lets go of exchanges, bindings, policies and the names of queues. Returns the queues.
    private mutating func forgetNames(in host: VirtualHost) -> Deque<MessageQueue> {
        var found: Deque<MessageQueue> = []
        host.topology.queueOrder.walk(after: nil) { name in
            if let queue = queue(named: name, in: host) { found.append(queue) }
            return true
        }
        var exchanges: [ExchangeName] = []
        host.topology.exchangeOrder.walk(after: nil) { name in
            exchanges.append(name)
            return true
        }
        for name in exchanges {
            noteDeduplication(of: name, in: host, for: nil)
            if host.exchangesWithIDs.remove(name) != nil { forgetIDs(of: .exchange(name, in: host.id)) }
            guard !name.rawValue.isEmpty, Topology.reservedPrefix(of: name.rawValue) == nil else { continue }
            outputs.events.append(.exchangeDeleted(name, in: host.name))
        }
        host.topology = Topology(of: host.name)
        host.policies = []
        return found
    }

    /// Deletes a slice of the queues; answers after the last, once all is gone from the disk.
    mutating func deleteSlice(_ deletion: VirtualHostDeletion, now: Instant) {
        var slice = limits.deletedQueuesPerSlice
        while let queue = deletion.queues.first {
            guard slice > 0 else { return work.append(.deleteVirtualHost(deletion)) }
            slice -= 1
            deletion.queues.removeFirst()
            deletion.count += deleteQueue(queue, now: now)
        }
        let waiting = WaitingAnswer(
            session: deletion.session, ticket: deletion.ticket, answer: .count(deletion.count))
        gathering.rangeAnswers.append(waiting)
        gathering.isAwaited = true
        gathering.wants(.now)
    }

    // MARK: - Entering

    /// Takes a session into a virtual host: names mean from then on what they mean there.
    mutating func enter(_ name: VirtualHostName, _ ticket: Ticket, _ session: Session) {
        do throws(BrokerError) {
            let host = try virtualHost(name)
            if session.host !== host { try checkIdle(session, wanting: name) }
            if session.host !== host || !session.isAdmitted { try admit(session, to: host) }
            session.access = access(of: session)
            answer(session, ticket, .done)
        } catch {
            answer(session, ticket, .refused(error))
        }
    }

    private func checkIdle(_ session: Session, wanting name: VirtualHostName) throws(BrokerError) {
        let what: String
        if !session.consumers.isEmpty {
            what = "has consumers; end them"
        } else if session.heldCount > 0 {
            what = "holds \(session.heldCount) unsettled deliveries; settle them"
        } else if session.waitingGets > 0 {
            what = "has a GET that waits; let it end"
        } else {
            return
        }
        throw BrokerError(
            .commandInvalid,
            "this session can't enter vhost '\(name)' while it \(what) in vhost '\(session.host.name)' first")
    }

    /// True where a session that is in no virtual host for certain may ask this: what is about none, and the end of
    /// what it has. Everything else takes it into the one where it stands, or is refused.
    mutating func admits(_ request: Request, _ ticket: Ticket, _ session: Session) -> Bool {
        guard request.isAboutNames else { return true }
        do throws(BrokerError) {
            guard !session.host.isDeleted else {
                throw BrokerError(.notFound, "vhost '\(session.host.name)' is deleted; enter another")
            }
            try admit(session, to: session.host)
            return true
        } catch {
            answer(session, ticket, .refused(error))
            return false
        }
    }

    /// Counts a session where it goes, unless too many connections are there.
    private func admit(_ session: Session, to host: VirtualHost) throws(BrokerError) {
        try checkRoom(in: host, for: session.connection)
        leave(session)
        session.host = host
        session.isAdmitted = true
        count(session.connection, in: host)
    }

    /// Throws 530 where too many connections are in a virtual host. The program's own is always let in.
    private func checkRoom(in host: VirtualHost, for connection: Connection) throws(BrokerError) {
        guard connection.sessionsByHost[host.id] == nil, connection.isClosable,
            let most = host.limits.connectionsMax, host.connections >= most
        else { return }
        let whose = connection.user.map { " for user '\($0.definition.name)'" } ?? ""
        throw BrokerError(
            .notAllowed,
            "access to vhost '\(host.name)' refused\(whose): connection limit (\(most)) is reached")
    }

    private func count(_ connection: Connection, in host: VirtualHost) {
        if connection.sessionsByHost[host.id] == nil { host.connections += 1 }
        connection.sessionsByHost[host.id, default: 0] += 1
    }

    private func uncount(_ connection: Connection, in host: VirtualHost) {
        guard let count = connection.sessionsByHost[host.id] else { return }
        connection.sessionsByHost[host.id] = count > 1 ? count - 1 : nil
        if count == 1 { host.connections -= 1 }
    }

    /// A session is in its virtual host no more.
    func leave(_ session: Session) {
        guard session.isAdmitted else { return }
        session.isAdmitted = false
        uncount(session.connection, in: session.host)
    }

    // MARK: - Connections of one virtual host

    /// Takes a connection that has no sessions into a virtual host, for good: there they begin, and it counts there as
    /// long as it is open, as an AMQP connection does.
    ///
    /// - Throws: 404 where there is no such virtual host; 530 where the connection's user may not be there, or too
    ///   many are.
    public mutating func enter(_ name: VirtualHostName, with id: ConnectionID) throws(BrokerError) {
        guard let connection = connectionsByID[id] else { return }
        let host = try virtualHost(name)
        if let user = connection.user { try Access(user, in: host).check(.enter(name)) }
        try checkRoom(in: host, for: connection)
        connection.home = host
        count(connection, in: host)
    }

    /// A session of a connection that is at home somewhere begins there.
    func beginAtHome(_ session: Session) {
        guard let home = session.connection.home, !home.isDeleted else { return }
        session.isAdmitted = true
        count(session.connection, in: home)
    }

    /// A connection is gone.
    func leaveHome(_ connection: Connection) {
        guard let home = connection.home else { return }
        uncount(connection, in: home)
    }
}

extension Request {
    /// True where names in it mean something in a virtual host.
    fileprivate var isAboutNames: Bool {
        switch self {
        case .enter, .createVirtualHost, .deleteVirtualHost, .limitVirtualHost, .administer,
            .closeConnection, .query,
            .list(.users, _, _), .list(.permissions, _, _), .list(.topicPermissions, _, _),
            .status(nil), .list(.virtualHosts, _, _), .list(.connections, _, _), .list(.channels, _, _),
            .settle, .settleAtCommit, .rollBack, .touch, .amend, .endGet,
            .cancel,
            .setSessionPrefetch, .recover, .setLogLevel:
            false
        case .status, .list, .publish, .get, .consume, .declareExchange, .deleteExchange, .declareQueue,
            .declareReplyQueue,
            .deleteQueue, .bind, .unbind, .purge, .setPaused, .setPolicy, .deletePolicy, .move, .restore,
            .transaction,
            .cancelMessage, .edit, .peek, .why, .route:
            true
        }
    }
}
