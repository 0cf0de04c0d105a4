// Runs of ids: what queues and exchanges have seen, stored in the order in which it came. Ids come in no order, so
// in one tree of ten million each would fall on a page of its own, to be written whole. Here new ids go into a run so
// small that a commit's ids share its pages. A full run is never written again, and gets a filter that tells what is
// not in it; 32 runs of a size are merged into one, in their order, as part of the commits that bring new ids.
//
// A run is one if it is in `dedup_run`; rows of `dedup_id` of other runs are what is left to remove.

import LeveretCore

/// The runs of one file. The writer's alone, inside its transactions; what a transaction that failed did to it is
/// forgotten by reading it anew.
struct IDRuns {
    /// So many runs of a size are merged into one.
    static let fan = 32
    /// Ids of a run from which it goes without a filter: a look into it costs little beside what it would take up.
    static let filteredMax = 16 << 20

    private struct Run {
        let number: Int64
        var count: Int
        var end: Instant
    }

    private struct Merge {
        let sources: [Run]
        let target: Int64
        var filter: IDFilter?
        var count = 0
        /// Ids below this one are in the target.
        var through = ""
    }

    /// Ids that a run takes before the next one begins.
    private let runCount: Int
    /// Those that are full, oldest first.
    private var runs: [Run] = []
    private var growing: Run?
    private var merge: Merge?
    /// Runs whose rows are to be removed.
    private var garbage: [Int64] = []
    private var nextNumber: Int64 = 1

    /// The last number that was given out.
    var lastNumber: Int64 { nextNumber - 1 }

    /// What the file has. Numbers up to `last` were given out before and are not given out again.
    init(reading database: Database, runCount: Int, last: Int64) throws(StoreFailure) {
        self.runCount = runCount
        let all = try database.prepared(
            "SELECT run, count, expires, filter IS NULL FROM dedup_run ORDER BY run")
        defer { all.reset() }
        while try all.next() {
            // Counts are added up: so small that no sum can overflow.
            let count = Int(min(max(all.int(1), 0), 1 << 52))
            let run = Run(number: all.int(0), count: count, end: Instant(stored: all.int(2)))
            // Two without a filter are not to be expected, and do no harm: they are looked into.
            if all.int(3) != 0, run.count < runCount, growing == nil {
                growing = run
            } else {
                runs.append(run)
            }
        }
        let known = Set(runs.map(\.number) + (growing.map { [$0.number] } ?? []))
        let next = try database.prepared("SELECT run FROM dedup_id WHERE run > ?1 ORDER BY run LIMIT 1")
        defer { next.reset() }
        var run = Int64.min
        while true {
            next.bind(1, run)
            guard try next.next() else { break }
            run = next.int(0)
            next.reset()
            if !known.contains(run) { garbage.append(run) }
        }
        let greatest = max(run, known.max() ?? 0, last)
        guard greatest < 1 << 62 else {
            throw .unreadable("run \(greatest) of ids", "its number is out of range")
        }
        nextNumber = greatest + 1
    }

    // MARK: - New ids

    /// Remembers ids, in the place of what was known of them.
    mutating func put(_ ids: [StoredID], in database: Database) throws(StoreFailure) {
        let scopes = IDScopes(database: database)
        var numbers: [DedupScope: Int64] = [:]
        var rest = ids[...]
        while !rest.isEmpty {
            var run = growing ?? begin()
            let part = rest.prefix(max(1, runCount - run.count))
            rest = rest.dropFirst(part.count)
            let insert = try database.prepared(
                "INSERT OR REPLACE INTO dedup_id (run, id, scope, expires) VALUES (?1, ?2, ?3, ?4)")
            insert.bind(1, run.number)
            for id in part {
                let scope: Int64
                if let known = numbers[id.key.scope] {
                    scope = known
                } else {
                    scope = try scopes.makeNumber(of: id.key.scope)
                    numbers[id.key.scope] = scope
                }
                insert.bind(2, id.key.id)
                insert.bind(3, scope)
                insert.bind(4, id.expires.milliseconds)
                try insert.run()
                run.end = max(run.end, id.expires)
            }
            run.count += part.count
            growing = run
            let isFull = run.count >= runCount
            try record(run, isFull ? try filter(of: run, in: database) : nil, in: database)
            if isFull {
                runs.append(run)
                growing = nil
            }
        }
    }

    private mutating func begin() -> Run {
        defer { nextNumber += 1 }
        return Run(number: nextNumber, count: 0, end: 0)
    }

    private func record(_ run: Run, _ filter: IDFilter?, in database: Database) throws(StoreFailure) {
        let statement = try database.prepared(
            "INSERT OR REPLACE INTO dedup_run (run, count, expires, filter) VALUES (?1, ?2, ?3, ?4)")
        statement.bind(1, run.number)
        statement.bind(2, Int64(run.count))
        statement.bind(3, run.end.milliseconds)
        if let filter { statement.bind(4, copying: filter.bytes) } else { statement.bindNull(4) }
        try statement.run()
    }

    /// A filter of what is in a run.
    private func filter(of run: Run, in database: Database) throws(StoreFailure) -> IDFilter? {
        var filter: IDFilter? = IDFilter(count: run.count)
        try add(run.number, from: "", below: nil, to: &filter, in: database)
        return filter
    }

    private func add(
        _ run: Int64, from: String, below bound: String?, to filter: inout IDFilter?, in database: Database
    ) throws(StoreFailure) {
        guard filter != nil else { return }
        let rows = try database.prepared(
            "SELECT id, scope FROM dedup_id WHERE run = ?1 AND id >= ?2 \(bound == nil ? "" : "AND id < ?3")")
        defer { rows.reset() }
        rows.bind(1, run)
        rows.bind(2, from)
        if let bound { rows.bind(3, bound) }
        while try rows.next() { filter?.insert(IDFilter.Place(rows.text(0), scope: rows.int(1))) }
    }

    // MARK: - Upkeep

    /// Works off about `rowCount` rows of what is to be removed and merged.
    mutating func work(rowCount: Int, now: Instant, in database: Database) throws(StoreFailure) {
        var left = rowCount
        while left > 0 {
            if let run = garbage.last {
                let (isDone, count) = try removeSlice(of: run, countMax: left, in: database)
                if isDone { garbage.removeLast() }
                left -= count + 1
            } else if try dropEnded(by: now, in: database) {
                continue
            } else if merge != nil {
                left -= try mergeSlice(countMax: left, now: now, in: database) + 1
            } else {
                guard beginMerge() else { return }
            }
        }
    }

    /// Gives up runs of which nothing counts any more.
    private mutating func dropEnded(by now: Instant, in database: Database) throws(StoreFailure) -> Bool {
        let merging = Set(merge?.sources.map(\.number) ?? [])
        var ended = runs.filter { $0.end <= now && !merging.contains($0.number) }
        if let run = growing, run.end <= now {
            ended.append(run)
            growing = nil
        }
        for run in ended { try drop(run, in: database) }
        return !ended.isEmpty
    }

    private mutating func drop(_ run: Run, in database: Database) throws(StoreFailure) {
        let statement = try database.prepared("DELETE FROM dedup_run WHERE run = ?1")
        statement.bind(1, run.number)
        try statement.run()
        runs.removeAll { $0.number == run.number }
        garbage.append(run.number)
    }

    private func removeSlice(
        of run: Int64, countMax: Int, in database: Database
    ) throws(StoreFailure) -> (isDone: Bool, count: Int) {
        let bound = try id(of: run, behind: countMax, from: "", in: database)
        let statement = try database.prepared(
            "DELETE FROM dedup_id WHERE run = ?1 \(bound == nil ? "" : "AND id <= ?2")")
        statement.bind(1, run)
        if let bound { statement.bind(2, bound) }
        try statement.run()
        return (bound == nil, Int(try database.number("SELECT changes()")))
    }

    /// The first id of a run that has more than `count` rows before it, and is greater than `start`; `nil` where there
    /// is none.
    private func id(
        of run: Int64, behind count: Int, from start: String, in database: Database
    ) throws(StoreFailure) -> String? {
        let statement = try database.prepared(
            "SELECT id FROM dedup_id WHERE run = ?1 AND id > ?2 ORDER BY id LIMIT 1 OFFSET ?3")
        defer { statement.reset() }
        statement.bind(1, run)
        statement.bind(2, start)
        statement.bind(3, Int64(count))
        return try statement.next() ? statement.text(0) : nil
    }

    private func lastID(of run: Int64, in database: Database) throws(StoreFailure) -> String {
        let statement = try database.prepared(
            "SELECT id FROM dedup_id WHERE run = ?1 ORDER BY id DESC LIMIT 1")
        defer { statement.reset() }
        statement.bind(1, run)
        return try statement.next() ? statement.text(0) : ""
    }

    // MARK: - Merging

    /// True where there are so many runs of a size that they become one.
    private mutating func beginMerge() -> Bool {
        let levels = Dictionary(grouping: runs) { run in
            var (level, size) = (0, runCount)
            while size < run.count, size < Int.max / Self.fan { (level, size) = (level + 1, size * Self.fan) }
            return level
        }
        guard let sources = levels.values.first(where: { $0.count >= Self.fan })?.prefix(Self.fan) else {
            return false
        }
        let count = sources.reduce(0) { $0 + $1.count }
        let filter = count < Self.filteredMax ? IDFilter(count: count) : nil
        merge = Merge(sources: Array(sources), target: nextNumber, filter: filter)
        nextNumber += 1
        return true
    }

    /// Puts the next ids of all sources into the target, but what has ended. Returns how many rows it went through.
    private mutating func mergeSlice(
        countMax: Int, now: Instant, in database: Database
    ) throws(StoreFailure) -> Int {
        guard var merge else { return 0 }
        self.merge = nil  // so that the filter is changed in its place
        let bound = try bound(of: merge, countMax: countMax, in: database)
        let numbers = (0..<Self.fan).map { "?\($0 + 5)" }.joined(separator: ", ")
        let insert = try database.prepared(
            """
            INSERT INTO dedup_id (run, id, scope, expires)
                SELECT ?1, id, scope, max(expires) FROM dedup_id
                WHERE run IN (\(numbers)) AND id >= ?2 \(bound == nil ? "" : "AND id < ?3") AND expires > ?4
                GROUP BY id, scope ORDER BY id, scope
            """)
        insert.bind(1, merge.target)
        insert.bind(2, merge.through)
        if let bound { insert.bind(3, bound) }
        insert.bind(4, now.milliseconds)
        for (index, source) in merge.sources.enumerated() { insert.bind(Int32(index + 5), source.number) }
        try insert.run()
        let count = Int(try database.number("SELECT changes()"))
        merge.count += count
        try add(merge.target, from: merge.through, below: bound, to: &merge.filter, in: database)
        if let bound {
            merge.through = bound
            self.merge = merge
        } else {
            try finish(merge, in: database)
        }
        // What has ended, and finding the slice's end, count too; but not so much that a slice that came out short
        // keeps the merge from keeping pace.
        return max(count, countMax / 8)
    }

    /// Where the next slice of a merge ends, so that it has about `countMax` rows; `nil` where it is the last. Ids that
    /// grow lie in one source after the other: those that begin behind the slice have no part in it.
    private func bound(
        of merge: Merge, countMax: Int, in database: Database
    ) throws(StoreFailure) -> String? {
        var heads: [(id: String, run: Int64)] = []
        for source in merge.sources {
            if let id = try id(of: source.number, behind: 0, from: merge.through, in: database) {
                heads.append((id, source.number))
            }
        }
        heads.sort { $0.id.precedesByBytes($1.id) }
        guard let first = heads.first else { return nil }
        var bound = try id(of: first.run, behind: countMax, from: merge.through, in: database)
        if bound == nil, heads.count > 1, try lastID(of: first.run, in: database).precedesByBytes(heads[1].id)
        {
            return heads[1].id
        }
        let taking = heads.prefix { head in bound.map { head.id.precedesByBytes($0) } ?? true }
        guard taking.count > 1 else { return bound }
        let each = max(1, countMax / taking.count)
        for head in taking {
            let id = try id(of: head.run, behind: each, from: merge.through, in: database)
            if let id, bound.map({ id.precedesByBytes($0) }) ?? true { bound = id }
        }
        return bound
    }

    private mutating func finish(_ merge: Merge, in database: Database) throws(StoreFailure) {
        for source in merge.sources { try drop(source, in: database) }
        guard merge.count > 0 else { return }
        let end = merge.sources.map(\.end).max() ?? 0
        let run = Run(number: merge.target, count: merge.count, end: end)
        try record(run, merge.filter, in: database)
        runs.append(run)
    }
}
