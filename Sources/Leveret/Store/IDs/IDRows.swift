// Finds the ids that queues and exchanges have seen: those that count for a while in runs (IDRuns.swift), those that
// count as long as their message is there in `message.dedup`. Called by Store inside a transaction for reading.

import LeveretCore
import Synchronization

/// Reads ids.
struct IDRows {
    let database: Database

    /// What is known of `keys` that count as long as their messages are there.
    func findQueued(_ keys: [DedupKey]) throws(StoreFailure) -> [StoredID] {
        let queued = try database.prepared(
            """
            SELECT id, place, priority FROM message INDEXED BY message_dedup
            WHERE queue = ?1 AND dedup = ?2 ORDER BY id DESC LIMIT 1
            """
        )
        defer { queued.reset() }
        var found: [StoredID] = []
        for key in keys where key.isWhileQueued {
            guard case .queue(let queue) = key.scope else { continue }
            queued.bind(1, queue.rawValue)
            queued.bind(2, key.id)
            guard try queued.next() else { continue }
            found.append(
                StoredID(
                    key: key, expires: .distantFuture, number: MessageNumber(queued.int(0)),
                    place: MessageNumber(queued.int(1)),
                    priority: queued.isNull(2) ? nil : UInt8(clamping: queued.int(2))))
            queued.reset()
        }
        return found
    }

    /// What is known of `keys` that count for a while.
    func findTimed(_ keys: [DedupKey], _ filters: IDFilters) throws(StoreFailure) -> [StoredID] {
        guard keys.contains(where: { !$0.isWhileQueued }) else { return [] }
        let runs = try filters.runs(in: database)
        let scopes = IDScopes(database: database)
        var numbers: [DedupScope: Int64?] = [:]
        let timed = try database.prepared(
            "SELECT expires FROM dedup_id WHERE run = ?1 AND id = ?2 AND scope = ?3")
        defer { timed.reset() }
        var found: [StoredID] = []
        for key in keys where !key.isWhileQueued {
            if numbers[key.scope] == nil { numbers[key.scope] = .some(try scopes.number(of: key.scope)) }
            guard let known = numbers[key.scope], let scope = known else { continue }
            let place = IDFilter.Place(key.id, scope: scope)
            var expires: Instant?
            timed.bind(2, key.id)
            timed.bind(3, scope)
            for run in runs where run.filter?.mayHold(place) ?? true {
                timed.bind(1, run.number)
                if try timed.next() { expires = max(expires ?? 0, Instant(stored: timed.int(0))) }
                timed.reset()
            }
            if let expires { found.append(StoredID(key: key, expires: expires)) }
        }
        return found
    }
}

/// Filters of runs that have been read; they never change.
final class IDFilters: Sendable {
    /// Bytes of filters in memory. The oldest runs, the largest, go without when there are more.
    private static let bytesMax = 64 << 20

    private let known = Mutex<[Int64: IDFilter]>([:])

    /// The runs that the database has, and what tells what is in each; without it, it has to be looked into.
    func runs(in database: Database) throws(StoreFailure) -> [(number: Int64, filter: IDFilter?)] {
        let all = try database.prepared("SELECT run, filter IS NULL FROM dedup_run ORDER BY run DESC")
        defer { all.reset() }
        let known = self.known.withLock { $0 }
        var runs: [(number: Int64, filter: IDFilter?)] = []
        var bytes = 0
        while try all.next() {
            let number = all.int(0)
            var filter: IDFilter?
            if all.int(1) == 0, bytes < Self.bytesMax {
                if let read = known[number] { filter = read } else { filter = try read(number, in: database) }
                bytes += filter?.footprint ?? 0
            }
            runs.append((number, filter))
        }
        let pairs = runs.compactMap { run in run.filter.map { (run.number, $0) } }
        if pairs.count != known.count || pairs.contains(where: { known[$0.0] == nil }) {
            self.known.withLock { $0 = Dictionary(pairs) { first, _ in first } }
        }
        return runs
    }

    private func read(_ run: Int64, in database: Database) throws(StoreFailure) -> IDFilter? {
        let statement = try database.prepared("SELECT filter FROM dedup_run WHERE run = ?1")
        defer { statement.reset() }
        statement.bind(1, run)
        return try statement.next() ? IDFilter(statement.bytes(0)) : nil
    }
}
