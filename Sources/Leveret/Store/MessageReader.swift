// Reads message rows for the core's load requests. Called by Store on a read-only connection; the database
// and the spill file are read alike and merged by Store.

import LeveretCore

/// Reads the tables `message`, `body` and `held` of one file.
struct MessageReader {
    /// How many expired copies are looked up and sorted; with more, the queue is walked in its order instead.
    private static let sortedExpiredMax = 20_000

    let database: Database
    let isSpill: Bool

    private static let columns = """
        SELECT m.id, m.exchange, m.routing_key, m.properties, m.entered, m.expires, m.failed, m.deaths, h.acquired,
            CASE WHEN m.body_id IS NULL THEN m.body ELSE b.body END, m.place, m.priority, m.version, m.due
        """
    /// The same without the message, and its size.
    private static let bareColumns = """
        SELECT m.id, '', '', NULL, m.entered, m.expires, m.failed, m.deaths, h.acquired, NULL, m.place, m.priority,
            m.version, m.due, m.size
        """
    private static let joins = """
        LEFT JOIN held AS h ON h.message = m.id LEFT JOIN body AS b ON b.id = m.body_id
        """
    private static let numberSQL = "\(columns) FROM message AS m \(joins) WHERE m.id = ?2 AND m.queue = ?1"

    /// The statements that read a whole queue, or one priority of it.
    private struct Statements {
        let window: String
        let bareWindow: String
        let walkExpired: String
        let sortExpired: String
        let nextExpiry: String

        init(index: String, filter: String) {
            let rows = """
                \(columns) FROM message AS m INDEXED BY \(index) \(joins)
                WHERE m.queue = ?1 \(filter) AND m.place > ?2
                """
            window = "\(rows) ORDER BY m.place LIMIT ?3"
            bareWindow = """
                \(bareColumns) FROM message AS m INDEXED BY \(index) LEFT JOIN held AS h ON h.message = m.id
                WHERE m.queue = ?1 \(filter) AND m.place > ?2 ORDER BY m.place LIMIT ?3
                """
            walkExpired = "\(rows) AND m.expires <= ?4 ORDER BY m.place LIMIT ?3"
            // A ready row's place is never below its number, so that most numbers say enough and the row need not be
            // read. Delayed rows are looked at as well: one that waits for a retry is due at its expiry at the latest.
            let behind = "(m.id > ?2 OR m.place > ?2) \(filter)"
            sortExpired = """
                \(columns) FROM (
                    SELECT m.id FROM message AS m INDEXED BY message_expires
                    WHERE m.queue = ?1 AND m.expires <= ?4 AND \(behind) ORDER BY m.id LIMIT ?3
                ) AS e CROSS JOIN message AS m ON m.id = e.id \(joins) ORDER BY m.place
                """
            nextExpiry = """
                SELECT m.expires FROM message AS m INDEXED BY message_expires
                WHERE m.queue = ?1 AND m.expires > ?3 AND \(behind) ORDER BY m.expires LIMIT 1
                """
        }
    }
    private static let ofQueue = Statements(index: "message_place", filter: "")
    private static let ofPriority = Statements(index: "message_priority", filter: "AND m.priority = ?5")

    private static let behindDue = """
        FROM message AS m INDEXED BY message_due \(joins)
        WHERE m.queue = ?1 AND m.due >= ?2 AND (m.due > ?2 OR m.id > ?3) AND m.id >= ?4
        """
    private static let dueSQL = "\(columns) \(behindDue) AND m.due <= ?5 ORDER BY m.due, m.id LIMIT ?6"
    private static let nextDueSQL = "SELECT m.due \(behindDue) ORDER BY m.due, m.id LIMIT 1"

    private static let expiredCountSQL = """
        SELECT count(*) FROM (
            SELECT 1 FROM message INDEXED BY message_expires WHERE queue = ?1 AND expires <= ?2 LIMIT ?3
        )
        """

    /// The rows that `request` asks for, up to its limits.
    func rows(for request: LoadRequest) throws(StoreFailure) -> [LoadedRow] {
        let statements = Self.statements(for: request)
        switch request.kind {
        case .window(let after):
            let statement = try database.prepared(
                request.isBare ? statements.bareWindow : statements.window)
            bind(request, after: after, to: statement)
            statement.bind(3, Int64(request.countMax))
            return try read(statement, request)
        case .expired(let after, let by):
            let walks = try expiredCount(of: request.queue, by: by) == Self.sortedExpiredMax
            let statement = try database.prepared(walks ? statements.walkExpired : statements.sortExpired)
            bind(request, after: after, to: statement)
            statement.bind(3, Int64(request.countMax))
            statement.bind(4, by.milliseconds)
            return try read(statement, request)
        case .ids: return []
        case .due(let after, let by, let from):
            let statement = try database.prepared(Self.dueSQL)
            bind(after, from, of: request.queue, to: statement)
            statement.bind(5, by.milliseconds)
            statement.bind(6, Int64(request.countMax))
            return try read(statement, request)
        case .numbers(let numbers):
            return try rows(numbered: numbers, request)
        }
    }

    /// When the first of the copies that `request` reads, with a place behind `after`, expires later than `past`.
    func nextExpiry(
        for request: LoadRequest, after: MessageNumber, past: Instant?
    ) throws(StoreFailure) -> Instant {
        let statement = try database.prepared(Self.statements(for: request).nextExpiry)
        defer { statement.reset() }
        bind(request, after: after, to: statement)
        statement.bind(3, past?.milliseconds ?? .min)
        return try statement.next() ? Instant(stored: statement.int(0)) : .distantFuture
    }

    /// When the first delayed copy behind `after` is due.
    func nextDue(
        of queue: QueueID, after: DueKey, from: MessageNumber
    ) throws(StoreFailure) -> Instant {
        let statement = try database.prepared(Self.nextDueSQL)
        defer { statement.reset() }
        bind(after, from, of: queue, to: statement)
        return try statement.next() ? Instant(stored: statement.int(0)) : .distantFuture
    }

    private func bind(_ after: DueKey, _ from: MessageNumber, of queue: QueueID, to statement: Prepared) {
        statement.bind(1, queue.rawValue)
        statement.bind(2, after.due.milliseconds)
        statement.bind(3, after.number.rawValue)
        statement.bind(4, from.rawValue)
    }

    private static func statements(for request: LoadRequest) -> Statements {
        request.priority == nil ? ofQueue : ofPriority
    }

    private static let peekSQL = """
        \(columns), h.consumer, h.since FROM message AS m \(joins)
        WHERE m.queue = ?1 AND m.place > 0 AND m.place >= ?2 AND (m.expires IS NULL OR m.expires > ?4)
            AND (h.consumer IS NOT NULL) = ?5 ORDER BY m.priority DESC, m.place LIMIT ?3
        """
    private static let peekDelayedSQL = """
        \(columns), NULL, NULL FROM message AS m INDEXED BY message_due \(joins)
        WHERE m.queue = ?1 AND m.due IS NOT NULL AND m.id >= ?2 ORDER BY m.due, m.id LIMIT ?3
        """

    private static let allSQL = """
        \(columns), h.consumer, h.since FROM message AS m INDEXED BY message_place \(joins)
        WHERE m.queue = ?1 AND (m.expires IS NULL OR m.expires > ?2) ORDER BY m.place
        """

    /// Hands over every message of a queue, one at a time, those that wait for their time first and then by place,
    /// until `each` returns false; false then.
    func all(
        in queue: QueueID, now: Instant, each: (PeekedMessage) -> Bool
    ) throws(StoreFailure) -> Bool {
        let statement = try database.prepared(Self.allSQL)
        defer { statement.reset() }
        statement.bind(1, queue.rawValue)
        statement.bind(2, now.milliseconds)
        var names = LastNames()
        while try statement.next() {
            let row = try row(of: statement, &names)
            let state: Peek.State = row.due != nil ? .delayed : statement.isNull(14) ? .ready : .unacked
            guard each(peeked(row, state, statement)) else { return false }
        }
        return true
    }

    private static let foundSQL = """
        \(columns), h.consumer, h.since FROM message AS m \(joins) WHERE m.id = ?2 AND m.queue = ?1
        """

    /// Messages of a queue in one state, for people.
    func peek(_ peek: Peek, in queue: QueueID, now: Instant) throws(StoreFailure) -> [PeekedMessage] {
        let state = peek.state ?? .ready
        let isDelayed = state == .delayed
        let statement = try database.prepared(isDelayed ? Self.peekDelayedSQL : Self.peekSQL)
        defer { statement.reset() }
        statement.bind(1, queue.rawValue)
        statement.bind(2, peek.from.rawValue)
        statement.bind(3, Int64(peek.countMax))
        if !isDelayed {
            statement.bind(4, now.milliseconds)
            statement.bind(5, state == .unacked ? 1 : 0)
        }
        var messages: [PeekedMessage] = []
        var names = LastNames()
        while try statement.next() {
            let row = try row(of: statement, &names)
            messages.append(peeked(row, state, statement))
        }
        return messages
    }

    /// A message that a search has found; `nil` when it isn't there.
    func found(
        _ number: MessageNumber, in queue: QueueID, _ state: Peek.State
    ) throws(StoreFailure)
        -> PeekedMessage?
    {
        let statement = try database.prepared(Self.foundSQL)
        defer { statement.reset() }
        statement.bind(1, queue.rawValue)
        statement.bind(2, number.rawValue)
        guard try statement.next() else { return nil }
        var names = LastNames()
        let row = try row(of: statement, &names)
        return peeked(row, state, statement)
    }

    private func peeked(_ row: LoadedRow, _ state: Peek.State, _ statement: Prepared) -> PeekedMessage {
        PeekedMessage(
            number: row.number, place: row.place > 0 ? row.place : nil, version: Int(row.version),
            state: state, message: row.message,
            entered: row.entered, expires: row.expires == .distantFuture ? nil : row.expires,
            due: row.due, deliveries: Int(row.acquired), failed: Int(row.failed),
            heldBy: statement.optionalText(14),
            heldSince: statement.isNull(15) ? nil : Instant(stored: statement.int(15)),
            deaths: row.deaths)
    }

    // MARK: Steps

    private func bind(_ request: LoadRequest, after: MessageNumber, to statement: Prepared) {
        statement.bind(1, request.queue.rawValue)
        statement.bind(2, after.rawValue)
        if let priority = request.priority { statement.bind(5, Int64(priority)) }
    }

    private func expiredCount(of queue: QueueID, by: Instant) throws(StoreFailure) -> Int {
        let statement = try database.prepared(Self.expiredCountSQL)
        defer { statement.reset() }
        statement.bind(1, queue.rawValue)
        statement.bind(2, by.milliseconds)
        statement.bind(3, Int64(Self.sortedExpiredMax))
        return try statement.next() ? Int(statement.int(0)) : 0
    }

    private func rows(
        numbered numbers: [MessageNumber], _ request: LoadRequest
    ) throws(StoreFailure) -> [LoadedRow] {
        let statement = try database.prepared(Self.numberSQL)
        defer { statement.reset() }
        var rows: [LoadedRow] = []
        var bytes = 0
        var names = LastNames()
        for number in numbers.sorted() where rows.last?.number != number {
            statement.bind(1, request.queue.rawValue)
            statement.bind(2, number.rawValue)
            guard try statement.next() else { continue }
            let row = try row(of: statement, &names)
            statement.reset()
            rows.append(row)
            bytes += row.message.bulk
            if rows.count >= request.countMax || bytes > request.bytesMax { break }
        }
        return rows
    }

    private func read(_ statement: Prepared, _ request: LoadRequest) throws(StoreFailure) -> [LoadedRow] {
        defer { statement.reset() }
        var rows: [LoadedRow] = []
        var bytes = 0
        var names = LastNames()
        while try statement.next() {
            var row = try row(of: statement, &names)
            if request.isBare {
                row.isBare = true
                row.bodyBytes = Int(clamping: max(0, statement.int(14)))
            }
            rows.append(row)
            bytes += row.message.bulk
            if bytes > request.bytesMax { break }
        }
        return rows
    }

    /// The names of the row before: most rows of a run have the same.
    private struct LastNames {
        var exchange = ""
        var routingKey = ""
    }

    private func row(of statement: Prepared, _ names: inout LastNames) throws(StoreFailure) -> LoadedRow {
        if !statement.holds(1, names.exchange) { names.exchange = statement.text(1) }
        if !statement.holds(2, names.routingKey) { names.routingKey = statement.text(2) }
        let number = statement.int(0)
        guard number > 0 else { throw .unreadable("message \(number)", "its id is below 1") }
        var damage = Damage()
        let deaths = deaths(statement, &damage)
        let hasHeldRow = !statement.isNull(8)
        var row = LoadedRow(
            number: MessageNumber(number),
            place: MessageNumber(max(statement.int(10), -.max)),
            priority: statement.isNull(11) ? nil : UInt8(clamping: statement.int(11)),
            due: statement.isNull(13) ? nil : Instant(stored: statement.int(13)),
            version: Int32(clamping: max(1, statement.int(12))),
            message: message(statement, names, &damage),
            isSpilled: isSpill,
            entered: Instant(stored: statement.int(4)),
            expires: statement.isNull(5) ? .distantFuture : Instant(stored: statement.int(5)),
            failed: Int32(clamping: max(0, statement.int(6))),
            acquired: Int32(clamping: max(0, statement.int(8))),
            deaths: deaths,
            hasHeldRow: hasHeldRow
        )
        row.damage = damage.text
        return row
    }

    /// What of a row doesn't decode: it must not keep those beside it from being read.
    private struct Damage {
        var text: String?
        /// It, as it was found.
        var headers = FieldTable()
    }

    private func message(
        _ statement: Prepared, _ names: borrowing LastNames, _ damage: inout Damage
    ) -> Message {
        var properties: MessageProperties?
        var isPersistent = true
        var encoded: [UInt8]?
        if !statement.isNull(3) {
            let bytes = statement.bytes(3)
            do {
                (properties, isPersistent) = try PropertiesCodec.decode(bytes)
                if !PropertiesCodec.isPlain(bytes) { encoded = bytes }
            } catch {
                damage.text = "its properties don't decode: \(error.text)"
                damage.headers[HeaderName.unreadableProperties] = .bytes(bytes)
            }
        }
        if damage.text != nil {
            properties = properties ?? MessageProperties()
            for field in damage.headers.fields { properties?.headers[field.name] = field.value }
            encoded = nil
        }
        var shared: SharedProperties?
        if properties != nil || encoded != nil {
            shared = SharedProperties(properties ?? MessageProperties(), encoded: encoded)
        }
        return Message(
            exchange: ExchangeName(names.exchange), routingKey: names.routingKey, shared: shared,
            isPersistent: isPersistent, body: statement.bytes(9))
    }

    private func deaths(_ statement: Prepared, _ damage: inout Damage) -> DeathHistory? {
        guard let text = statement.optionalText(7) else { return nil }
        do { return try DeathHistory(jsonText: text) } catch {
            damage.text = "its death history doesn't decode: \(error.text)"
            damage.headers[HeaderName.unreadableDeaths] = .string(text)
            return nil
        }
    }
}
