// LIST and ROUTE, a page at a time: what is long must not be made, nor written, in one piece. A page ends with a
// cursor, from which the next goes on; what comes or goes meanwhile may be shown or not, all else once.

extension BrokerCore {
    mutating func list(
        _ listing: Listing, match: String?, after: ListCursor?, _ ticket: Ticket, _ session: Session,
        now: Instant
    ) {
        guard let host = host(of: after, session) else { return refuseRest(session, ticket) }
        let glob = match.map { Glob($0) }
        func cursor(_ place: ListCursor.Place) -> ListCursor { ListCursor(place, in: host.id) }
        func matches(_ name: String) -> Bool { glob?.matches(name) ?? true }
        let answer: Answer
        switch listing {
        case .queues:
            let page = page(host.topology.queueOrder, after: after?.name.map { QueueName($0) }) { name in
                matches(name.rawValue) ? queue(named: name, in: host).map { info(of: $0, now: now) } : nil
            }
            answer = .page(.queues(page.rows), next: page.last.map { cursor(.name($0.rawValue)) })
        case .exchanges:
            let page = page(host.topology.exchangeOrder, after: after?.name.map { ExchangeName($0) }) {
                name in
                matches(name.rawValue) ? host.topology.exchangeInfo(name) : nil
            }
            answer = .page(.exchanges(page.rows), next: page.last.map { cursor(.name($0.rawValue)) })
        case .bindings:
            let page = page(host.topology.bindingOrder, after: after?.number) { id -> Binding? in
                guard let binding = host.topology.records[id]?.binding else { return nil }
                return matches(binding.source.rawValue) || matches(binding.target.name) ? binding : nil
            }
            answer = .page(.bindings(page.rows), next: page.last.map { cursor(.number($0)) })
        case .consumers:
            answer = consumers(in: host, after: after) { matches($0.queue.name.rawValue) }
        case .connections: answer = connections(after: after) { matches($0.name) }
        case .channels: answer = sessions(after: after) { matches($0.name) }
        case .policies: answer = .policies(policyInfos(in: host, matching: glob))
        case .virtualHosts:
            answer = .virtualHosts(
                virtualHostInfos(matching: glob).filter { session.access?.sees($0.name) ?? true })
        case .users: answer = userPage(after: after, matches)
        case .permissions: answer = permissionPage(after: after, matches)
        case .topicPermissions: answer = topicPermissionPage(after: after, matches)
        }
        self.answer(session, ticket, answer)
    }

    /// The virtual host that a listing is of; `nil` where it is gone since the page before.
    private func host(of cursor: ListCursor?, _ session: Session) -> VirtualHost? {
        guard let cursor, cursor.virtualHost != session.host.id else { return session.host }
        return virtualHosts.first { $0.id == cursor.virtualHost }
    }

    private mutating func refuseRest(_ session: Session, _ ticket: Ticket) {
        let gone = BrokerError(.notFound, "the vhost was deleted while it was listed")
        answer(session, ticket, .refused(gone))
    }

    /// Where a message would go, from a step on.
    mutating func route(_ message: Message, after: ListCursor?, _ ticket: Ticket, _ session: Session) {
        guard let host = host(of: after, session) else { return refuseRest(session, ticket) }
        guard host.topology.exchange(message.exchange) != nil else {
            return answer(session, ticket, .refused(.noExchange(message.exchange, in: host.name)))
        }
        let steps = host.topology.explain(message)
        let start = min(max(0, after?.number ?? 0), steps.count)
        let end = min(start + limits.pageRowsMax, steps.count)
        answer(
            session, ticket,
            .page(
                .routes(Array(steps[start..<end])),
                next: end < steps.count ? ListCursor(.number(end), in: host.id) : nil))
    }

    /// The next rows of what `order` has behind `after`, and the last element looked at where there is more.
    func page<Element, Row>(
        _ order: SortedRuns<Element>, after: Element?, _ row: (Element) -> Row?
    ) -> (rows: [Row], last: Element?) {
        var rows: [Row] = []
        var looked = 0
        var last: Element?
        var isMore = false
        order.walk(after: after) { element in
            guard rows.count < limits.pageRowsMax, looked < limits.pageLooksMax else {
                isMore = true
                return false
            }
            looked += 1
            last = element
            if let row = row(element) { rows.append(row) }
            return true
        }
        return (rows, isMore ? last : nil)
    }

    /// Consumers by connection, session and age.
    private func consumers(
        in host: VirtualHost, after: ListCursor?, _ matches: (Consumer) -> Bool
    ) -> Answer {
        var rows: [ConsumerInfo] = []
        var looked = 0
        var last = (connection: UInt64(0), session: UInt64(0), consumer: UInt64(0))
        if case .consumer(let connection, let session, let consumer)? = after?.place {
            last = (connection, session, consumer)
        }
        for connection in connections[firstConnection(from: last.connection)...] {
            for session in connection.sessions {
                for consumer in session.consumers {
                    let key = (connection.id.rawValue, session.id.rawValue, consumer.serial)
                    guard key > last else { continue }
                    guard rows.count < limits.pageRowsMax, looked < limits.pageLooksMax else {
                        let cursor = ListCursor(.consumer(last.0, last.1, last.2), in: host.id)
                        return .page(.consumers(rows), next: cursor)
                    }
                    looked += 1
                    last = key
                    if consumer.queue.host === host, matches(consumer) { rows.append(consumer.info) }
                }
            }
        }
        return .page(.consumers(rows), next: nil)
    }

    /// Connections as they came.
    private func connections(after: ListCursor?, _ matches: (Connection) -> Bool) -> Answer {
        var rows: [ConnectionInfo] = []
        let first = firstConnection(from: UInt64(clamping: (after?.number ?? 0) + 1))
        for (looked, connection) in connections[first...].enumerated() {
            guard rows.count < limits.pageRowsMax, looked < limits.pageLooksMax else {
                let cursor = ListCursor(.number(Int(clamping: connection.id.rawValue) - 1))
                return .page(.connections(rows), next: cursor)
            }
            guard matches(connection) else { continue }
            rows.append(
                ConnectionInfo(
                    id: connection.id, name: connection.name, user: connection.user?.definition.name,
                    virtualHost: (connection.home ?? connection.sessions.first?.host)?.name ?? .default,
                    since: connection.since, client: connection.client,
                    sessions: connection.sessions.count,
                    isBlocked: alarm != nil && connection.client.protocolName != nil,
                    consumers: connection.sessions.reduce(0) { $0 + $1.consumers.count },
                    unacked: connection.sessions.reduce(0) { $0 + $1.heldCount }))
        }
        return .page(.connections(rows), next: nil)
    }

    /// Sessions by connection and age.
    private func sessions(after: ListCursor?, _ matches: (Connection) -> Bool) -> Answer {
        var rows: [SessionInfo] = []
        var looked = 0
        var last = (connection: UInt64(0), session: UInt64(0))
        if case .consumer(let connection, let session, _)? = after?.place { last = (connection, session) }
        for connection in connections[firstConnection(from: last.connection)...] {
            for session in connection.sessions {
                let key = (connection.id.rawValue, session.id.rawValue)
                guard key > last else { continue }
                guard rows.count < limits.pageRowsMax, looked < limits.pageLooksMax else {
                    return .page(.sessions(rows), next: ListCursor(.consumer(last.0, last.1, 0)))
                }
                looked += 1
                last = key
                if matches(connection) { rows.append(session.info) }
            }
        }
        return .page(.sessions(rows), next: nil)
    }

    /// Where those begin whose number is not below `id`.
    private func firstConnection(from id: UInt64) -> Int {
        var (low, high) = (0, connections.count)
        while low < high {
            let middle = (low + high) / 2
            if connections[middle].id.rawValue < id { low = middle + 1 } else { high = middle }
        }
        return low
    }
}

extension ListCursor {
    var name: String? { if case .name(let name) = place { name } else { nil } }
    fileprivate var number: Int? { if case .number(let number) = place { number } else { nil } }
}
