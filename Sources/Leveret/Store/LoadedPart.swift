// The answer of one file to a load request, and how the answers of two become one. Called by Store.

import LeveretCore

/// Rows of one file, in the order asked for.
struct LoadedPart {
    private var rows: [LoadedRow]
    /// When the first copy expires, or is due, that `rows` leave out.
    private var next = Instant.distantFuture
    /// There may be more rows behind the last one.
    private let isCut: Bool

    /// What `reader`'s file has for `request`.
    init(_ request: LoadRequest, from reader: MessageReader) throws(StoreFailure) {
        rows = try reader.rows(for: request)
        isCut =
            rows.count >= request.countMax || rows.reduce(0) { $0 + $1.message.bulk } > request.bytesMax
        switch request.kind {
        case .window, .numbers, .ids: break
        case .expired(let after, let by):
            // Those that have expired are all in `rows`, unless they were cut off: then there may be more at once.
            next = try reader.nextExpiry(for: request, after: after, past: isCut ? nil : by)
        case .due(_, let by, let from):
            let last = isCut ? rows.last?.dueKey : nil
            let behind = last ?? DueKey(by, MessageNumber(.max))
            next = try reader.nextDue(of: request.queue, after: behind, from: from)
        }
    }

    /// The answer.
    func result(of request: LoadRequest) -> LoadResult {
        if case .due = request.kind { return LoadResult(request: request, rows: rows, nextDue: next) }
        return LoadResult(request: request, rows: rows, nextExpiry: next)
    }

    /// The rows of both, as if one file had been read.
    func merged(with other: LoadedPart, _ request: LoadRequest) -> LoadedPart {
        var isByDue = false
        if case .due = request.kind { isByDue = true }
        // What is asked for by number is read by number: what was delayed has a place behind those of later ones.
        var isByNumber = false
        if case .numbers = request.kind { isByNumber = true }
        func key(_ row: LoadedRow) -> DueKey {
            isByDue ? row.dueKey : DueKey(0, isByNumber ? row.number : row.place)
        }
        // Behind the last row of a part that was cut off, a row of the other may have one before it.
        let ends = [self, other].compactMap { $0.isCut ? $0.rows.last.map(key) : nil }
        let bound = ends.min() ?? DueKey(.distantFuture, MessageNumber(.max))
        var merged = self
        merged.rows = []
        var bytes = 0
        var left = Instant.distantFuture
        for row in (rows + other.rows).sorted(by: { key($0) < key($1) }) {
            if key(row) <= bound, merged.rows.count < request.countMax, bytes <= request.bytesMax {
                merged.rows.append(row)
                bytes += row.message.bulk
            } else {
                left = min(left, isByDue ? row.dueKey.due : row.expires)
            }
        }
        merged.next = min(left, next, other.next)
        return merged
    }
}

extension LoadedRow {
    fileprivate var dueKey: DueKey { DueKey(due ?? .distantFuture, number) }
}
