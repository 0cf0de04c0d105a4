// Writes message rows: the part of a batch that is the same for the database and the spill file. Called by
// Store inside a transaction. What it binds it leaves bound where the next row is likely to have the same.

import LeveretCore

/// Writes to the tables `message`, `body` and `held` of one file.
struct MessageRows {
    /// Bodies up to this size are copied into each row that shares them; one of their own costs more.
    static let sharedBodyBytesMin = 513

    let database: Database

    // MARK: Inserting

    // A batch that failed after its spilled rows were written writes them again.
    private static let spillSQL = "INSERT OR REPLACE" + intoMessageSQL
    private static let insertSQL = "INSERT" + intoMessageSQL
    private static let intoMessageSQL = """
         INTO message (
            id, queue, place, size, entered, expires, failed, body_id, exchange, routing_key, properties, headers,
            body, origin, reason, first_death, last_death, death_count, deaths, last_error, priority, dedup, due,
            version
        ) VALUES (?1, ?2, ?20, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?21, ?22,
            ?23, ?24)
        """
    private static let insertBodySQL = "INSERT OR IGNORE INTO body (id, body) VALUES (?1, ?2)"

    /// Inserts those rows that stand in the spill file, or those that don't; cancelled ones are left out.
    func insert(_ rows: ContiguousArray<InsertRow>, spilled: Bool) throws(StoreFailure) {
        guard !rows.isEmpty else { return }
        let statement = try database.prepared(spilled ? Self.spillSQL : Self.insertSQL)
        var bound = BoundValues()
        var lastBody: MessageNumber = 0
        for index in rows.indices {
            guard rows[index].isSpilled == spilled, let message = rows[index].message else { continue }
            let sharedBody = rows[index].sharedBody
            let shares = sharedBody != 0 && !spilled && message.body.count >= Self.sharedBodyBytesMin
            if shares, sharedBody != lastBody {
                try insertBody(message.body, id: sharedBody)
                lastBody = sharedBody
            }
            bind(rows[index], message, to: statement, &bound)
            if shares {
                statement.bind(7, sharedBody.rawValue)
                statement.bindNull(12)
                try statement.run()
                statement.bindNull(7)
            } else {
                try step(statement, body: message.body)
            }
            if rows[index].acquired > 0 { try keepAcquired(of: rows[index]) }
        }
    }

    /// What the insert statement has bound from the row before.
    private struct BoundValues {
        var message: Message?
        /// The column `properties` of those that are repeated; of persistent messages.
        var encoded = RepeatedProperties()
        var exchange: String?
        var routingKey: String?
        var hasDeaths = true
        var hasPriority = true
        var hasDedup = true
        var hasDue = true
        var version: Int32 = 0
    }

    private func bind(
        _ row: InsertRow, _ message: Message, to statement: Prepared, _ bound: inout BoundValues
    ) {
        if bound.message == nil { statement.bindNull(7) }
        statement.bind(1, row.number.rawValue)
        statement.bind(2, row.queue.rawValue)
        statement.bind(4, row.entered.milliseconds)
        if row.expires == .distantFuture {
            statement.bindNull(5)
        } else {
            statement.bind(5, row.expires.milliseconds)
        }
        statement.bind(6, Int64(row.failed))
        statement.bind(20, row.place.rawValue)
        if let priority = row.priority {
            statement.bind(21, Int64(priority))
        } else if bound.hasPriority {
            statement.bindNull(21)
        }
        bound.hasPriority = row.priority != nil
        if let due = row.due {
            statement.bind(23, due.milliseconds)
        } else if bound.hasDue {
            statement.bindNull(23)
        }
        bound.hasDue = row.due != nil
        if row.version != bound.version { statement.bind(24, Int64(row.version)) }
        bound.version = row.version
        if bound.message !== message {
            statement.bind(3, Int64(message.body.count))
            if bound.exchange?.hasSameBytes(as: message.exchange.rawValue) != true {
                statement.bind(8, message.exchange.rawValue)
                bound.exchange = message.exchange.rawValue
            }
            if bound.routingKey?.hasSameBytes(as: message.routingKey) != true {
                statement.bind(9, message.routingKey)
                bound.routingKey = message.routingKey
            }
            bindProperties(of: message, to: statement, &bound.encoded)
            bound.message = message
        }
        if row.deaths != nil || bound.hasDeaths { bindDeaths(row.deaths, to: statement) }
        bound.hasDeaths = row.deaths != nil
        if let id = row.dedupID {
            statement.bind(22, id)
        } else if bound.hasDedup {
            statement.bindNull(22)
        }
        bound.hasDedup = row.dedupID != nil
    }

    private func bindProperties(
        of message: Message, to statement: Prepared, _ encoded: inout RepeatedProperties
    ) {
        guard message.hasProperties || !message.isPersistent else {
            statement.bindNull(10)
            return statement.bindNull(11)
        }
        if let bytes = message.shared?.encoded {
            statement.bind(10, copying: bytes)
        } else if let shared = message.shared, message.isPersistent {
            statement.bind(
                10, copying: encoded.bytes(shared) { PropertiesCodec.encode($0, isPersistent: true) })
        } else if message.hasProperties {
            statement.bind(10, copying: PropertiesCodec.encode(message.properties, isPersistent: false))
        } else {
            statement.bind(10, copying: PropertiesCodec.none)
        }
        if let headers = message.shared?.properties.headers, !headers.isEmpty {
            statement.bind(11, text: JSONText.bytes(of: .table(headers)))
        } else {
            statement.bindNull(11)
        }
    }

    private func bindDeaths(_ deaths: DeathHistory?, to statement: Prepared) {
        guard let deaths else {
            for index in Int32(13)...19 { statement.bindNull(index) }
            return
        }
        statement.bind(13, deaths.originQueue.rawValue)
        statement.bind(14, deaths.firstReason.rawValue)
        statement.bind(15, deaths.firstTime.milliseconds)
        statement.bind(16, deaths.lastTime.milliseconds)
        statement.bind(17, deaths.deaths.reduce(0) { $0 + $1.count })
        statement.bind(18, deaths.jsonText())
        if let error = deaths.errorText { statement.bind(19, error) } else { statement.bindNull(19) }
    }

    private func step(_ statement: Prepared, body: [UInt8]) throws(StoreFailure) {
        let result = body.withUnsafeBytes { bytes in
            statement.bind(12, unmoved: bytes)
            return Result { () throws(StoreFailure) in try statement.run() }
        }
        try result.get()
    }

    private func insertBody(_ body: [UInt8], id: MessageNumber) throws(StoreFailure) {
        let statement = try database.prepared(Self.insertBodySQL)
        statement.bind(1, id.rawValue)
        let result = body.withUnsafeBytes { bytes in
            statement.bind(2, unmoved: bytes)
            return Result { () throws(StoreFailure) in try statement.run() }
        }
        try result.get()
    }

    // MARK: Counters

    private static let failedSQL = "UPDATE message SET failed = ?2 WHERE id = ?1 AND failed <> ?2"
    private static let heldSQL = """
        INSERT INTO held (message, queue, consumer, since, acquired)
            SELECT id, queue, ?2, ?3, ?4 FROM message WHERE id = ?1
            ON CONFLICT (message) DO UPDATE
                SET consumer = excluded.consumer, since = excluded.since, acquired = excluded.acquired
        """

    /// Notes who holds a copy and how often it was delivered and failed. Copies that aren't in this file are
    /// left out.
    func update(_ counters: [CounterUpdate]) throws(StoreFailure) {
        guard !counters.isEmpty else { return }
        let failed = try database.prepared(Self.failedSQL)
        let held = try database.prepared(Self.heldSQL)
        for counter in counters {
            failed.bind(1, counter.number.rawValue)
            failed.bind(2, Int64(counter.failed))
            try failed.run()
            held.bind(1, counter.number.rawValue)
            if let consumer = counter.heldBy {
                held.bind(2, consumer)
                held.bind(3, counter.heldSince.milliseconds)
            } else {
                held.bindNull(2)
                held.bindNull(3)
            }
            held.bind(4, Int64(counter.acquired))
            try held.run()
        }
    }

    /// A copy that was delivered before it was written keeps its count.
    private func keepAcquired(of row: InsertRow) throws(StoreFailure) {
        try update([
            CounterUpdate(
                number: row.number, failed: row.failed, acquired: row.acquired, heldBy: nil,
                heldSince: row.entered
            )
        ])
    }

    // MARK: Places

    private static let placeSQL = """
        UPDATE message SET place = ?2, due = ?3, entered = ?4, expires = ?5, version = ?6 WHERE id = ?1
        """

    /// Notes where copies stand now. Copies that aren't in this file are left out.
    func update(_ places: [PlaceUpdate]) throws(StoreFailure) {
        guard !places.isEmpty else { return }
        let statement = try database.prepared(Self.placeSQL)
        for place in places {
            statement.bind(1, place.number.rawValue)
            statement.bind(2, place.place.rawValue)
            if let due = place.due { statement.bind(3, due.milliseconds) } else { statement.bindNull(3) }
            statement.bind(4, place.entered.milliseconds)
            if place.expires == .distantFuture {
                statement.bindNull(5)
            } else {
                statement.bind(5, place.expires.milliseconds)
            }
            statement.bind(6, Int64(place.version))
            try statement.run()
        }
    }

    // MARK: Contents

    private static let contentSQL = """
        UPDATE message SET routing_key = ?2, size = ?3, body_id = NULL, properties = ?10, headers = ?11, body = ?12
            WHERE id = ?1
        """
    private static let bodyOfSQL = "SELECT body_id FROM message WHERE id = ?1 AND body_id IS NOT NULL"

    /// Writes what copies are after they were edited. Copies that aren't in this file are left out.
    func update(_ contents: [ContentUpdate]) throws(StoreFailure) {
        guard !contents.isEmpty else { return }
        let statement = try database.prepared(Self.contentSQL)
        var encoded = RepeatedProperties()
        for content in contents {
            let shared = try sharedBody(of: content.number)
            statement.bind(1, content.number.rawValue)
            statement.bind(2, content.message.routingKey)
            statement.bind(3, Int64(content.message.body.count))
            bindProperties(of: content.message, to: statement, &encoded)
            try step(statement, body: content.message.body)
            if let shared {
                let delete = try database.prepared(Self.deleteBodySQL)
                delete.bind(1, shared)
                try delete.run()
            }
        }
    }

    private func sharedBody(of number: MessageNumber) throws(StoreFailure) -> Int64? {
        let statement = try database.prepared(Self.bodyOfSQL)
        defer { statement.reset() }
        statement.bind(1, number.rawValue)
        return try statement.next() ? statement.int(0) : nil
    }

    // MARK: Removing

    private static let deleteSQL = "DELETE FROM message WHERE id BETWEEN ?1 AND ?2"
    private static let deleteHeldSQL = "DELETE FROM held WHERE message BETWEEN ?1 AND ?2"
    private static let bodiesSQL = """
        SELECT body_id FROM message WHERE id BETWEEN ?1 AND ?2 AND body_id IS NOT NULL
        """
    private static let deleteBodySQL = """
        DELETE FROM body WHERE id = ?1 AND NOT EXISTS (SELECT 1 FROM message WHERE body_id = ?1)
        """
    private static let rangeSQL = """
        SELECT id, size FROM message INDEXED BY message_place
        WHERE queue = ?1 AND place > ?2 AND place <= ?3 ORDER BY place LIMIT ?4
        """
    private static let priorityRangeSQL = """
        SELECT id, size FROM message INDEXED BY message_priority
        WHERE queue = ?1 AND priority = ?5 AND place > ?2 AND place <= ?3 ORDER BY place LIMIT ?4
        """

    /// Removes copies with what belongs to them, neighbours at once; those that are gone are left out.
    func remove(_ numbers: ContiguousArray<MessageNumber>) throws(StoreFailure) {
        guard !numbers.isEmpty else { return }
        let held =
            try database.number("SELECT EXISTS (SELECT 1 FROM held)") != 0
            ? try database.prepared(Self.deleteHeldSQL) : nil
        let bodies =
            try database.number("SELECT EXISTS (SELECT 1 FROM body)") != 0
            ? try database.prepared(Self.bodiesSQL) : nil
        let delete = try database.prepared(Self.deleteSQL)
        var bodyIDs: [Int64] = []
        for run in Runs(numbers) {
            if let held { try runOver(run, held) }
            if let bodies {
                bodies.bind(1, run.lowerBound)
                bodies.bind(2, run.upperBound)
                while try bodies.next() {
                    if bodyIDs.last != bodies.int(0) { bodyIDs.append(bodies.int(0)) }
                }
            }
            try runOver(run, delete)
        }
        guard !bodyIDs.isEmpty else { return }
        let deleteBody = try database.prepared(Self.deleteBodySQL)
        for id in bodyIDs {
            deleteBody.bind(1, id)
            try deleteBody.run()
        }
    }

    private func runOver(_ range: ClosedRange<Int64>, _ statement: Prepared) throws(StoreFailure) {
        statement.bind(1, range.lowerBound)
        statement.bind(2, range.upperBound)
        try statement.run()
    }

    /// Bytes of bodies from which a removal of ranges stops, so that its commit holds nobody up for long.
    private static let rangeBytesMax: Int64 = 16 << 20

    /// Removes the ranges but those `spared`, in all at most `countMax` copies; returns the ranges of which some may
    /// be left.
    func remove(
        _ ranges: [RangeRemoval], sparing spared: Set<MessageNumber> = [], countMax: Int
    ) throws(StoreFailure) -> [RangeRemoval] {
        var room = countMax
        var bytes = Self.rangeBytesMax
        var unfinished: [RangeRemoval] = []
        for range in ranges {
            guard room > 0, bytes > 0 else {
                unfinished.append(range)
                continue
            }
            let numbers = try numbers(in: range, sparing: spared, countMax: room, &bytes)
            try remove(numbers)
            if numbers.count == room || bytes <= 0 { unfinished.append(range) }
            room -= numbers.count
        }
        return unfinished
    }

    private func numbers(
        in range: RangeRemoval, sparing spared: Set<MessageNumber>, countMax: Int, _ bytes: inout Int64
    ) throws(StoreFailure) -> ContiguousArray<MessageNumber> {
        let statement = try database.prepared(range.priority == nil ? Self.rangeSQL : Self.priorityRangeSQL)
        if let priority = range.priority { statement.bind(5, Int64(priority)) }
        statement.bind(1, range.queue.rawValue)
        statement.bind(2, range.after.rawValue)
        statement.bind(3, range.through.rawValue)
        statement.bind(4, Int64(countMax + spared.count))
        var numbers: ContiguousArray<MessageNumber> = []
        while bytes > 0, numbers.count < countMax, try statement.next() {
            let number = MessageNumber(statement.int(0))
            guard !spared.contains(number) else { continue }
            numbers.append(number)
            bytes -= max(0, statement.int(1))
        }
        statement.reset()
        return numbers
    }
}

/// Numbers gathered into ranges of neighbours.
struct Runs: Sequence, IteratorProtocol {
    private let numbers: ContiguousArray<MessageNumber>
    private var index = 0

    /// The ranges that hold just these numbers.
    init(_ numbers: ContiguousArray<MessageNumber>) {
        let isSorted = numbers.indices.dropFirst().allSatisfy { numbers[$0 - 1] <= numbers[$0] }
        self.numbers = isSorted ? numbers : ContiguousArray(numbers.sorted())
    }

    /// The next range, lowest first.
    mutating func next() -> ClosedRange<Int64>? {
        guard index < numbers.count else { return nil }
        let first = numbers[index].rawValue
        var last = first
        index += 1
        while index < numbers.count, numbers[index].rawValue <= last + 1 {
            last = numbers[index].rawValue
            index += 1
        }
        return first...last
    }
}
