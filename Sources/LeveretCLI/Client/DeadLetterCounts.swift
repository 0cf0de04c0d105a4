// Dead letters counted by queue, origin, reason and error text, for `dead list`. The file is read by SQL in stretches
// of messages, so that no query runs long or answers much, however many there are.

/// Counts of dead letters that have queue, origin, reason and error in common.
struct DeadLetterCounts {
    private struct Group: Hashable {
        var queue: String
        var origin: String
        var reason: String
        var error: String?
    }

    private struct Tally {
        var count = 0
        var first = ""
        var last = ""

        /// Both together.
        static func + (a: Tally, b: Tally) -> Tally {
            Tally(
                count: a.count.adding(b.count), first: min(a.first, b.first), last: max(a.last, b.last))
        }
    }

    /// Errors that differ in every message would make as many groups; past so many they are counted together.
    static let groupsMax = 10_000
    /// What stands in the place of such errors.
    static let otherErrors = "(other errors)"
    /// Messages that one query looks at; fewer where that is too much for it.
    private static let stretchMax = 50_000

    private let source: any Source
    /// The number of the one queue that counts.
    private let queueNumber: Int?
    private var groups: [Group: Tally] = [:]
    private(set) var count = 0
    /// Messages that were looked at.
    private(set) var seen = 0

    /// Counts of one queue, or with `nil` of all.
    ///
    /// - Throws: `Failure` where there is no such queue.
    init(of queue: String?, in source: any Source) throws {
        self.source = source
        var number: Int?
        if let queue {
            _ = try source.queue(queue)
            number = -1  // of a transient queue nothing is in the file
            try source.query("SELECT id FROM queue WHERE name = \(SQLText.literal(queue))") { row in
                number = row["id"]?.int
            }
        }
        queueNumber = number
    }

    /// Looks at all messages; `step` is told how far it is, and ends it by returning false.
    mutating func countAll(_ step: (DeadLetterCounts) -> Bool) throws {
        if let queueNumber {
            // What is delayed stands at no place.
            let waiting = "m.queue = \(queueNumber) AND m.place <= 0"
            _ = try add(stretch: "\(waiting) LIMIT \(Int32.max)", cursor: "m.id")
        }
        var last = 0
        var size = Self.stretchMax
        while step(self) {
            let filter =
                queueNumber.map { "m.queue = \($0) AND m.place > \(last) ORDER BY m.place" }
                ?? "m.id > \(last) ORDER BY m.id"
            let cursor = queueNumber == nil ? "m.id" : "m.place"
            do {
                let found = try add(stretch: "\(filter) LIMIT \(size)", cursor: cursor)
                last = max(last, found.last)
                if found.seen < size { return }
            } catch let failure as Failure where failure.isSearchTooLong && size > 500 {
                size /= 10
            }
        }
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
                .init(name: "last", value: .string(tally.last)),
            ])
        }
    }

    /// Counts what one query finds. Returns how many messages it has looked at, and where the last of them stands.
    private mutating func add(stretch: String, cursor: String) throws -> (seen: Int, last: Int) {
        func time(_ column: String) -> String {
            "strftime('%Y-%m-%dT%H:%M:%fZ', \(column) / 1000.0, 'unixepoch')"
        }
        let sql = """
            SELECT q.name AS queue, g.origin AS origin, g.reason AS reason, g.error AS error, count(*) AS n,
                \(time("min(g.first)")) AS first, \(time("max(g.last)")) AS last, max(g.cursor) AS cursor
            FROM (
                SELECT \(cursor) AS cursor, m.queue AS queue, m.origin AS origin, m.last_error AS error,
                    CASE WHEN m.death_count > 1 THEN json_extract(m.deaths, '$.deaths[0].reason')
                        ELSE m.reason END AS reason,
                    m.first_death AS first, m.last_death AS last
                FROM message AS m WHERE \(stretch)
            ) AS g LEFT JOIN queue AS q ON q.id = g.queue
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
            count = count.adding(number)
            let group = Group(
                queue: queue, origin: origin, reason: row["reason"]?.text ?? "", error: row["error"]?.text)
            add(row, number, to: group)
        }
        self.seen = self.seen.adding(seen)
        return (seen, last)
    }

    private mutating func add(_ row: JSON, _ number: Int, to group: Group) {
        var group = group
        if groups[group] == nil, groups.count >= Self.groupsMax { group.error = Self.otherErrors }
        let tally = Tally(
            count: number, first: row["first"]?.text ?? "", last: row["last"]?.text ?? "")
        groups[group] = groups[group].map { $0 + tally } ?? tally
    }
}
