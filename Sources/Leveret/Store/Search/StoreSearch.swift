// One search: over the database file, the spill file, and what the core has in memory only, each on a connection
// that is made for it and closed after it. Called by the searcher's thread, and by DatabaseInspector for a file
// without a broker. It waits for nobody and nobody waits for it.

import LeveretCore

/// Finds messages by a condition, and answers queries.
struct StoreSearch {
    /// One place where messages are.
    private struct Source {
        let guarded: GuardedDatabase
        let isSpill: Bool
        let holds: MessageFields.Holds
    }

    /// A message that was found, and where.
    private struct Found {
        var place: FoundPlace
        var due: Int64
        var source: Int
    }

    let bounds: SearchBounds
    /// The database file.
    let path: String
    /// The spill file, if there is one.
    var spillPath: String?

    // MARK: Searches

    /// Answers `search`.
    func answer(_ search: Search) throws(BrokerError) -> SearchFound {
        switch search.kind {
        case .messages(let peek, let overlay):
            return .messages(try messages(peek, in: overlay.queue, overlay, now: search.now))
        case .places(let places, let overlay):
            return .places(try self.places(places, overlay, now: search.now))
        case .query(let sql): return .table(try query(sql))
        }
    }

    /// The first messages of a queue that meet a condition; without an `overlay` the file says all there is.
    func messages(
        _ peek: Peek, in queue: QueueID, hasPriorities: Bool = false, _ overlay: QueueOverlay?, now: Instant
    ) throws(BrokerError) -> [PeekedMessage] {
        let sources = try open(overlay)
        let notes = Dictionary(
            (overlay?.notes ?? []).map { ($0.number, $0) }, uniquingKeysWith: { first, _ in first })
        var messages: [PeekedMessage] = []
        var bytes = 0
        let states = peek.state.map { [$0] } ?? [.ready, .unacked, .delayed]
        for state in states where messages.count < peek.countMax && bytes <= bounds.limits.peekBytesMax {
            let fields = MessageFields(
                queue: queue, state: state, hasPriorities: overlay?.hasPriorities ?? hasPriorities,
                holds: .none, now: now, from: peek.from, bodyBytesMax: bounds.limits.queryValueBytesMax)
            let found = try find(
                peek.condition ?? "1", fields, countMax: peek.countMax - messages.count, in: sources)
            for found in found where bytes <= bounds.limits.peekBytesMax {
                guard var message = try read(found, state, of: queue, from: sources[found.source]) else {
                    continue
                }
                if overlay != nil { message.correct(by: notes[message.number]) }
                messages.append(message)
                bytes += message.message.bulk
            }
        }
        return messages
    }

    /// Where ready messages stand that meet a condition.
    private func places(
        _ search: PlaceSearch, _ overlay: QueueOverlay, now: Instant
    ) throws(BrokerError) -> [FoundPlace] {
        let fields = MessageFields(
            queue: overlay.queue, state: .ready, hasPriorities: overlay.hasPriorities, holds: .none, now: now,
            from: 0, through: search.through, after: search.after,
            bodyBytesMax: bounds.limits.queryValueBytesMax)
        return try find(search.condition, fields, countMax: search.countMax, in: try open(overlay)).map(
            \.place)
    }

    /// The rows of a query over the database file.
    func query(_ sql: String) throws(BrokerError) -> QueryResult {
        let guarded = try ours { () throws(StoreFailure) in
            let guarded = try GuardedDatabase(path: path, bounds)
            try guarded.prepareForQueries()
            return guarded
        }
        let statement = try guarded.compile(
            "", GuardedDatabase.Foreign(text: sql, name: "the query"), "", as: .query)
        var result = QueryResult(columns: try statement.columns, rows: [])
        var bytes = 0
        while try statement.next() {
            var row: [FieldValue] = []
            for column in result.columns.indices {
                bytes += statement.writtenBytes(Int32(column))
                try check(rows: result.rows.count + 1, bytes: bytes)
                row.append(statement.value(Int32(column)))
            }
            result.rows.append(row)
        }
        return result
    }

    private func check(rows: Int, bytes: Int) throws(BrokerError) {
        guard rows <= bounds.limits.queryRowsMax, bytes <= bounds.limits.queryBytesMax else {
            throw BrokerError(
                .resourceError,
                "the query's answer has more than \(bounds.limits.queryRowsMax) rows or "
                    + "\(bounds.limits.queryBytesMax) bytes; give it a LIMIT, or fewer columns")
        }
    }

    // MARK: Steps

    /// Connections to all places where messages of the queue may be, each at one moment of its file.
    private func open(_ overlay: QueueOverlay?) throws(BrokerError) -> [Source] {
        let holds: MessageFields.Holds = overlay.map { $0.notes.isEmpty ? .none : .noted } ?? .stored
        return try ours { () throws(StoreFailure) in
            var sources = [
                Source(guarded: try GuardedDatabase(path: path, bounds), isSpill: false, holds: holds)
            ]
            if let spillPath {
                let spill = try GuardedDatabase(path: spillPath, bounds)
                sources.append(Source(guarded: spill, isSpill: true, holds: holds))
            }
            if let overlay, !overlay.inMemory.isEmpty {
                let memory = try GuardedDatabase(path: nil, bounds)
                try memory.trusting { database throws(StoreFailure) in
                    try database.runScript(Schema.spillTables)
                    try database.transaction { () throws(StoreFailure) in
                        try MessageRows(database: database).insert(overlay.inMemory, spilled: true)
                    }
                }
                sources.append(Source(guarded: memory, isSpill: true, holds: holds))
            }
            for source in sources {
                try source.guarded.trusting { database throws(StoreFailure) in
                    try database.run("BEGIN")
                    if let overlay { try note(overlay.notes, in: database) }
                }
            }
            return sources
        }
    }

    private func note(_ notes: [QueueOverlay.Note], in database: Database) throws(StoreFailure) {
        try database.runScript(MessageFields.noted)
        let statement = try database.prepared("INSERT OR REPLACE INTO temp.noted VALUES (?1, ?2, ?3, ?4, ?5)")
        for note in notes {
            statement.bind(1, note.number.rawValue)
            statement.bind(2, Int64(note.failed))
            statement.bind(3, Int64(note.acquired))
            if let holder = note.heldBy { statement.bind(4, holder) } else { statement.bindNull(4) }
            if let since = note.heldSince {
                statement.bind(5, since.milliseconds)
            } else {
                statement.bindNull(5)
            }
            try statement.run()
        }
    }

    /// The first messages over all sources, in the order of `fields`.
    private func find(
        _ condition: String, _ fields: MessageFields, countMax: Int, in sources: [Source]
    ) throws(BrokerError) -> [Found] {
        var all: [Found] = []
        for (index, source) in sources.enumerated() {
            var fields = fields
            fields.holds = source.holds
            all += try find(condition, fields, countMax: countMax, in: source.guarded, index)
        }
        guard sources.count > 1 else { return all }
        all.sort { a, b in
            switch fields.state {
            case .ready:
                (b.place.priority ?? 0, a.place.place, a.place.number)
                    < (a.place.priority ?? 0, b.place.place, b.place.number)
            case .unacked: a.place.number < b.place.number
            case .delayed: (a.due, a.place.number) < (b.due, b.place.number)
            }
        }
        // What has been spilled meanwhile was in memory, too, when it was asked.
        var seen: Set<MessageNumber> = []
        return Array(all.filter { seen.insert($0.place.number).inserted }.prefix(countMax))
    }

    /// The first messages of one source. The condition is compiled alone before it becomes a part of a statement: a
    /// whole statement never closes a parenthesis that it has not opened, so that it can't leave its place either.
    private func find(
        _ condition: String, _ fields: MessageFields, countMax: Int, in guarded: GuardedDatabase,
        _ source: Int
    ) throws(BrokerError) -> [Found] {
        // Nobody can give a table of their own this name, and so pass it off as the store's view.
        let view = "fields_\(UInt64.random(in: .min ... .max))_\(UInt64.random(in: .min ... .max))"
        try ours { () throws(StoreFailure) in
            try guarded.trusting { database throws(StoreFailure) in
                try database.runScript(fields.definition(name: view))
            }
        }
        let foreign = GuardedDatabase.Foreign(text: condition, name: "where", columns: MessageFields.names)
        let trust = QueryWatch.Trust.condition(view: view)
        _ = try guarded.compile("SELECT 1 FROM temp.\(view) WHERE ", foreign, "", as: trust)
        let statement = try guarded.compile(
            """
            SELECT position, leveret_place, leveret_priority, version, leveret_due FROM temp.\(view) WHERE (

            """, foreign, "\n) ORDER BY \(fields.order) LIMIT \(countMax)", as: trust)
        var found: [Found] = []
        while try statement.next() {
            let row = statement.row
            let place = FoundPlace(
                number: MessageNumber(row.int(0)), place: MessageNumber(row.int(1)),
                priority: row.isNull(2) ? nil : UInt8(truncatingIfNeeded: row.int(2)),
                version: Int32(truncatingIfNeeded: row.int(3)))
            found.append(Found(place: place, due: row.int(4), source: source))
        }
        return found
    }

    private func read(
        _ found: Found, _ state: Peek.State, of queue: QueueID, from source: Source
    ) throws(BrokerError) -> PeekedMessage? {
        try ours { () throws(StoreFailure) in
            try source.guarded.trusting { database throws(StoreFailure) in
                try MessageReader(database: database, isSpill: source.isSpill)
                    .found(found.place.number, in: queue, state)
            }
        }
    }

    /// The store's own steps, whose failures are the file's.
    private func ours<T>(_ work: () throws(StoreFailure) -> T) throws(BrokerError) -> T {
        do { return try work() } catch { throw error.brokerError }
    }
}

extension PeekedMessage {
    /// Sets what the core knows better than the file.
    fileprivate mutating func correct(by note: QueueOverlay.Note?) {
        heldBy = note?.heldBy
        heldSince = note?.heldSince
        guard let note else { return }
        deliveries = Int(note.acquired)
        failed = Int(note.failed)
    }
}
