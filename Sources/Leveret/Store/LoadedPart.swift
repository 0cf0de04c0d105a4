// The answer of one file to a load request, and how the answers of two become one. Called by Store.

import LeveretCore

/// Rows of one file, in the order asked for.
struct LoadedPart {
    private var rows: [LoadedRow]
    /// When the first copy expires that `rows` leave out.
    private var nextExpiry = Instant.distantFuture
    /// There may be more rows behind the last one.
    private let isCut: Bool

    /// What `reader`'s file has for `request`.
    init(_ request: LoadRequest, from reader: MessageReader) throws(StoreFailure) {
        rows = try reader.rows(for: request)
        isCut =
            rows.count >= request.countMax || rows.reduce(0) { $0 + $1.message.body.count } > request.bytesMax
        guard case .expired(let after, let by) = request.kind else { return }
        // Copies that have expired are all in `rows`, unless those were cut off: then there may be more at once.
        nextExpiry = try reader.nextExpiry(for: request, after: after, past: isCut ? nil : by)
    }

    /// The answer.
    func result(of request: LoadRequest) -> LoadResult {
        LoadResult(request: request, rows: rows, nextExpiry: nextExpiry)
    }

    /// The rows of both, as if one file had been read.
    func merged(with other: LoadedPart, _ request: LoadRequest) -> LoadedPart {
        // Behind the last row of a part that was cut off, a row of the other may have one before it.
        let bound = min(self.bound, other.bound)
        var merged = self
        merged.rows = []
        var bytes = 0
        var left = Instant.distantFuture
        for row in (rows + other.rows).sorted(by: { $0.place < $1.place }) {
            if row.place <= bound, merged.rows.count < request.countMax, bytes <= request.bytesMax {
                merged.rows.append(row)
                bytes += row.message.body.count
            } else {
                left = min(left, row.expires)
            }
        }
        merged.nextExpiry = min(left, nextExpiry, other.nextExpiry)
        return merged
    }

    /// Up to here every row of the file is known.
    private var bound: MessageNumber { isCut ? rows.last?.place ?? 0 : MessageNumber(.max) }
}
