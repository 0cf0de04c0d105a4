// LIST and ROUTE, a page at a time: what is long must not be made, nor written, in one piece. A page ends with a
// cursor, from which the next goes on; what comes or goes meanwhile may be shown or not, all else once.

extension BrokerCore {
    mutating func list(
        _ listing: Listing, match: String?, after: ListCursor?, _ ticket: Ticket, _ session: Session,
        now: Instant
    ) {
        let glob = match.map { Glob($0) }
        func matches(_ name: String) -> Bool { glob?.matches(name) ?? true }
        let answer: Answer
        switch listing {
        case .queues:
            let page = page(topology.queueOrder, after: after?.name.map { QueueName($0) }) { name in
                matches(name.rawValue) ? queue(named: name).map { info(of: $0, now: now) } : nil
            }
            answer = .page(.queues(page.rows), next: page.last.map { .name($0.rawValue) })
        case .exchanges:
            let page = page(topology.exchangeOrder, after: after?.name.map { ExchangeName($0) }) { name in
                matches(name.rawValue) ? topology.exchangeInfo(name) : nil
            }
            answer = .page(.exchanges(page.rows), next: page.last.map { .name($0.rawValue) })
        case .bindings:
            let page = page(topology.bindingOrder, after: after?.number) { id -> Binding? in
                guard let binding = topology.records[id]?.binding else { return nil }
                return matches(binding.source.rawValue) || matches(binding.target.name) ? binding : nil
            }
            answer = .page(.bindings(page.rows), next: page.last.map { .number($0) })
        case .consumers: answer = consumers(after: after) { matches($0.queue.name.rawValue) }
        case .connections: answer = connections(after: after) { matches($0.name) }
        case .policies: answer = .policies(policyInfos(matching: glob))
        }
        self.answer(session, ticket, answer)
    }

    /// Where a message would go, from a step on.
    mutating func route(_ message: Message, after: ListCursor?, _ ticket: Ticket, _ session: Session) {
        guard topology.exchange(message.exchange) != nil else {
            let missing = BrokerError(.notFound, "no exchange '\(message.exchange)' in vhost '/'")
            return answer(session, ticket, .refused(missing))
        }
        let steps = topology.explain(message)
        let start = min(max(0, after?.number ?? 0), steps.count)
        let end = min(start + limits.pageRowsMax, steps.count)
        answer(
            session, ticket,
            .page(.routes(Array(steps[start..<end])), next: end < steps.count ? .number(end) : nil))
    }

    /// The next rows of what `order` has behind `after`, and the last element looked at where there is more.
    private func page<Element, Row>(
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
    private func consumers(after: ListCursor?, _ matches: (Consumer) -> Bool) -> Answer {
        var rows: [ConsumerInfo] = []
        var looked = 0
        var last = (connection: UInt64(0), session: UInt64(0), consumer: UInt64(0))
        if case .consumer(let connection, let session, let consumer)? = after {
            last = (connection, session, consumer)
        }
        for connection in connections[firstConnection(from: last.connection)...] {
            for session in connection.sessions {
                for consumer in session.consumers {
                    let key = (connection.id.rawValue, session.id.rawValue, consumer.serial)
                    guard key > last else { continue }
                    guard rows.count < limits.pageRowsMax, looked < limits.pageLooksMax else {
                        return .page(.consumers(rows), next: .consumer(last.0, last.1, last.2))
                    }
                    looked += 1
                    last = key
                    if matches(consumer) { rows.append(consumer.info) }
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
                return .page(.connections(rows), next: .number(Int(clamping: connection.id.rawValue) - 1))
            }
            guard matches(connection) else { continue }
            rows.append(
                ConnectionInfo(
                    id: connection.id, name: connection.name, since: connection.since,
                    consumers: connection.sessions.reduce(0) { $0 + $1.consumers.count },
                    unacked: connection.sessions.reduce(0) { $0 + $1.heldCount }))
        }
        return .page(.connections(rows), next: nil)
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
    fileprivate var name: String? { if case .name(let name) = self { name } else { nil } }
    fileprivate var number: Int? { if case .number(let number) = self { number } else { nil } }
}
