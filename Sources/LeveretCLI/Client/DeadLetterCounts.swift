// Dead letters counted by queue, origin, reason and error text, for `dead list`. The file is read by SQL in stretches
// of messages, so that no query runs long or answers much, however many there are. Queries are for administrators:
// for others each dead letter is looked at.

/// Counts of dead letters that have queue, origin, reason and error in common.
struct DeadLetterCounts {
    private struct Group: Hashable {
        var queue: String
        var origin: String
        var reason: String
        var error: String?

        /// The group that a row about messages of a queue belongs to.
        init(_ row: JSON, in queue: String) {
            self.queue = queue
            origin = row["origin"]?.text ?? ""
            reason = row["reason"]?.text ?? ""
            error = row["error"]?.text
        }
    }

    private struct Tally {
        var count = 0
        var first = ""
        /// `nil` where it isn't known of all of them.
        var last: String?

        /// Both together.
        static func + (a: Tally, b: Tally) -> Tally {
            var both = Tally(count: a.count.adding(b.count), first: min(a.first, b.first))
            if let one = a.last, let other = b.last { both.last = max(one, other) }
            return both
        }
    }

    /// Errors that differ in every message would make as many groups; past so many they are counted together.
    static let groupsMax = 10_000
    /// What stands in the place of such errors.
    static let otherErrors = "(other errors)"
    /// Messages that one query looks at; fewer where that is too much for it.
    private static let stretchMax = 50_000

    /// Messages in an order by which a query can go on behind the last one.
    private struct Walk {
        /// What they meet.
        var condition: String
        /// What ascends from one to the next, above 0.
        var cursor: String
    }

    private let source: any Source
    /// The one queue that counts.
    private let queue: String?
    private var groups: [Group: Tally] = [:]
    /// Messages that were looked at.
    private(set) var seen = 0

    /// Counts of one queue, or with `nil` of all.
    ///
    /// - Throws: `Failure` where there is no such queue.
    init(of queue: String?, in source: any Source) throws {
        self.source = source
        self.queue = queue
        if let queue { _ = try source.queue(queue) }
    }

    /// Looks at all messages; `step` is told how far it is, and ends it by returning false.
    mutating func countAll(_ step: (DeadLetterCounts) -> Bool) throws {
        let walks: [Walk]
        do { walks = try self.walks } catch let failure as Failure where failure.status == .refused {
            return try countEach(step)
        }
        for walk in walks {
            var last = 0
            var size = Self.stretchMax
            var isAtEnd = false
            while !isAtEnd {
                guard step(self) else { return }
                do {
                    let found = try add(walk, behind: last, size)
                    last = max(last, found.last)
                    isAtEnd = found.seen < size
                } catch let failure as Failure where failure.isSearchTooLong && size > 500 {
                    size /= 10
                }
            }
        }
    }

    /// In which order the messages are looked at.
    private var walks: [Walk] {
        get throws {
            var host: Int?
            try source.query("SELECT id FROM vhost WHERE name = \(SQLText.literal(source.virtualHost))") {
                host = $0["id"]?.int
            }
            guard let queue else { return [Walk(condition: "1", cursor: "m.id")] }
            var number = -1  // of a transient queue nothing is in the file
            try source.query(
                "SELECT id FROM queue WHERE vhost = \(host ?? -1) AND name = \(SQLText.literal(queue))"
            ) { number = $0["id"]?.int ?? number }
            return [
                // What is delayed stands at no place. With the sign no other queue's messages are passed by.
                Walk(condition: "m.queue = \(number) AND m.place <= 0", cursor: "+m.id"),
                Walk(condition: "m.queue = \(number)", cursor: "m.place"),
            ]
        }
    }

    /// Counts without queries what the user may read.
    private mutating func countEach(_ step: (DeadLetterCounts) -> Bool) throws {
        var names: [String] = []
        if let queue {
            names = [queue]
        } else {
            try source.queues(match: nil, fields: ["name"]) { names.append($0.name) }
        }
        for name in names {
            var isWanted = true
            if queue != nil {
                isWanted = try countEach(in: name, step)
            } else {
                // Of all queues, one may be gone meanwhile, another connection's own, or not this user's to read.
                try source.unlessRefused {
                    try source.unlessGone { isWanted = try countEach(in: name, step) }
                }
            }
            guard isWanted else { return }
        }
    }

    /// Counts the dead letters of a queue; false where no more is wanted.
    private mutating func countEach(in queue: String, _ step: (DeadLetterCounts) -> Bool) throws -> Bool {
        for state in PeekState.all.parts {
            var pages = try MessagePages(
                of: queue, state: state, where: "origin <> \(SQLText.literal(queue))", hasBodies: false,
                in: source)
            while let messages = try pages.next() {
                for message in messages {
                    let tally = Tally(
                        count: 1, first: message.firstDeath ?? "", last: message.lastDeath)
                    add(tally, to: Group(message, in: queue))
                }
                seen = seen.adding(messages.count)
                guard step(self) else { return false }
            }
        }
        return true
    }

    /// The groups as rows, the largest first; errors of one shape are one where there are many.
    var rows: [JSON] {
        let standIns = ErrorShape.standIns(for: groups.keys.compactMap(\.error))
        let merged = Dictionary(
            groups.map { group, tally in
                var group = group
                group.error = group.error.map { standIns[$0] ?? $0 }
                return (group, tally)
            }, uniquingKeysWith: +)
        let sorted = merged.sorted { a, b in
            if a.value.count != b.value.count { return a.value.count > b.value.count }
            return (a.key.queue, a.key.origin, a.key.reason, a.key.error ?? "")
                < (b.key.queue, b.key.origin, b.key.reason, b.key.error ?? "")
        }
        return sorted.map { group, tally in
            .object([
                .init(name: "queue", value: .string(group.queue)),
                .init(name: "origin", value: .string(group.origin)),
                .init(name: "reason", value: .string(group.reason)),
                .init(name: "error", value: group.error.map { .string($0) } ?? .null),
                .init(name: "count", value: .int(tally.count)),
                .init(name: "first", value: .string(tally.first)),
                .init(name: "last", value: tally.last.map { .string($0) } ?? .null),
            ])
        }
    }

    /// Counts what one query finds. Returns how many messages it has looked at, and where the last of them stands.
    private mutating func add(_ walk: Walk, behind last: Int, _ size: Int) throws -> (seen: Int, last: Int) {
        func time(_ column: String) -> String {
            "strftime('%Y-%m-%dT%H:%M:%fZ', \(column) / 1000.0, 'unixepoch')"
        }
        let sql = """
            SELECT q.name AS queue, g.origin AS origin, g.reason AS reason, g.error AS error, count(*) AS n,
                \(time("min(g.first)")) AS first, \(time("max(g.last)")) AS last, max(g.cursor) AS cursor
            FROM (
                SELECT \(walk.cursor) AS cursor, m.queue AS queue, m.origin AS origin, m.last_error AS error,
                    CASE WHEN m.death_count > 1 THEN json_extract(m.deaths, '$.deaths[0].reason')
                        ELSE m.reason END AS reason,
                    m.first_death AS first, m.last_death AS last
                FROM message AS m WHERE \(walk.condition) AND \(walk.cursor) > \(last)
                ORDER BY \(walk.cursor) LIMIT \(size)
            ) AS g LEFT JOIN (
                SELECT queue.id AS id, queue.name AS name FROM queue JOIN vhost ON vhost.id = queue.vhost
                WHERE vhost.name = \(SQLText.literal(source.virtualHost))
            ) AS q ON q.id = g.queue
            GROUP BY g.queue, g.origin, g.reason, g.error
            """
        var rows: [JSON] = []
        try source.query(sql) { rows.append($0) }
        var (seen, last) = (0, 0)
        for row in rows {
            let number = row["n"]?.int ?? 0
            seen = seen.adding(number)
            last = max(last, row["cursor"]?.int ?? 0)
            guard let queue = row["queue"]?.text, let origin = row["origin"]?.text, origin != queue else {
                continue
            }
            add(
                Tally(count: number, first: row["first"]?.text ?? "", last: row["last"]?.text),
                to: Group(row, in: queue))
        }
        self.seen = self.seen.adding(seen)
        return (seen, last)
    }

    private mutating func add(_ tally: Tally, to group: Group) {
        var group = group
        if groups[group] == nil, groups.count >= Self.groupsMax { group.error = Self.otherErrors }
        groups[group] = groups[group].map { $0 + tally } ?? tally
    }
}
