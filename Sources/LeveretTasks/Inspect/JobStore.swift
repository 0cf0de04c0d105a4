// What looking at jobs and acting on one asks of the broker that has them. A broker of this process answers it here;
// `leveret jobs` answers it from a server or a file, so that both have one set of rules: those of JobDesk.

package import Leveret

/// A broker that has jobs, as far as JobDesk asks it.
package protocol JobStore {
    /// What time it is there.
    var now: Instant { get }
    /// The names of the queues that match a pattern (`*`, `?`).
    func queues(named pattern: String) async throws -> [QueueName]
    /// The first messages of a queue; none where it is not there.
    func messages(_ peek: Peek) async throws -> [PeekedMessage]
    /// The message that a queue knows by `id`; O(log n).
    func message(knownAs id: String, in queue: QueueName) async throws -> KnownMessage?
    /// Publishes in this order, and returns how many queues took each.
    func publish(all messages: [OutgoingMessage]) async throws -> [Int]
    /// Changes a message that waits. False where it is held, or gone.
    func change(_ edit: MessageEdit) async throws -> Bool
    /// Removes a message that waits. False where it is held, or gone.
    func remove(_ number: MessageNumber, from queue: QueueName) async throws -> Bool
}

/// Where the message of a job stands, as the file has it.
package struct KnownMessage: Sendable {
    /// Its position.
    package var number: MessageNumber
    /// Its place in its queue; below 1 while it waits for its time.
    package var place: Int64
    /// Which job it is.
    package var id: JobID

    /// The message of these.
    package init(number: MessageNumber, place: Int64, id: JobID) {
        self.number = number
        self.place = place
        self.id = id
    }

    /// What a message meets that its queue may know by `id`, as a condition of PEEK.
    package static func condition(_ id: String) -> String {
        "properties ->> 'message_id' = \(quoted(id)) OR headers ->> '\(HeaderName.deduplication)' = \(quoted(id))"
    }

    /// The query that answers `number`, `place`, `job` (null where that is `known` itself) and `known` for each of
    /// these ids that the queue knows.
    package static func query(_ ids: [String], in queue: QueueName, of host: VirtualHostName) -> String {
        """
        SELECT m.id AS number, m.place AS place, m.headers ->> '$."\(JobHeader.id)"' AS job, m.dedup AS known
        FROM message m WHERE m.dedup IN (\(ids.map(quoted).joined(separator: ", "))) AND m.queue = (
            SELECT q.id FROM queue q JOIN vhost v ON v.id = q.vhost
            WHERE q.name = \(quoted(queue.rawValue)) AND v.name = \(quoted(host.rawValue)))
        """
    }
}

/// A text as SQL writes it.
func quoted(_ text: String) -> String {
    "'" + text.split(separator: "'", omittingEmptySubsequences: false).joined(separator: "''") + "'"
}

extension Broker: JobStore {
    package func queues(named pattern: String) async throws -> [QueueName] {
        try await queues(matching: pattern).map(\.definition.name)
    }

    package func messages(_ peek: Peek) async throws -> [PeekedMessage] {
        do {
            return try await self.peek(
                peek.queue, where: peek.condition, state: peek.state, from: peek.from, count: peek.countMax)
        } catch let error as BrokerError where error.code == .notFound {
            return []
        }
    }

    package func message(knownAs id: String, in queue: QueueName) async throws -> KnownMessage? {
        try await messages(knownAs: [id], in: queue)[id]
    }

    /// The messages that a queue knows by these ids.
    func messages(knownAs ids: [String], in queue: QueueName) async throws -> [String: KnownMessage] {
        var found: [String: KnownMessage] = [:]
        for row in try await query(KnownMessage.query(ids, in: queue, of: virtualHost)).rows {
            guard row.count == 4, let number = row[0].int, let id = row[3].text else { continue }
            found[id] = KnownMessage(
                number: MessageNumber(number), place: row[1].int ?? 0, id: JobID(row[2].text ?? id))
        }
        return found
    }

    package func publish(all messages: [OutgoingMessage]) async throws -> [Int] {
        try await publish(batch: messages)
    }

    package func change(_ edit: MessageEdit) async throws -> Bool {
        try await unlessMovedOn { try await self.edit(edit) }
    }

    package func remove(_ number: MessageNumber, from queue: QueueName) async throws -> Bool {
        try await unlessMovedOn { try await cancelMessage(at: number, in: queue) }
    }

    private func unlessMovedOn(_ act: () async throws -> Void) async throws -> Bool {
        do {
            try await act()
            return true
        } catch let error as BrokerError where error.code == .preconditionFailed || error.code == .notFound {
            return false
        }
    }
}
