// Durations counted in buckets: 32 for each doubling, so that any value is known to 3 %, at a fixed size. The idea is
// that of HdrHistogram. Bench fills one for each way of measuring.

/// A histogram of nanoseconds.
struct LatencyHistogram: Sendable {
    private static let bucketsInDoubling = 32
    private var counts = [Int](repeating: 0, count: 64 * bucketsInDoubling)
    private(set) var count = 0
    private(set) var max: UInt64 = 0

    /// Counts one duration.
    mutating func record(_ nanoseconds: UInt64) {
        counts[Self.bucket(of: nanoseconds)] += 1
        count += 1
        max = Swift.max(max, nanoseconds)
    }

    /// Adds what another has counted.
    mutating func add(_ other: LatencyHistogram) {
        for index in counts.indices { counts[index] += other.counts[index] }
        count += other.count
        max = Swift.max(max, other.max)
    }

    /// The duration that this part of all, from 0 to 1, does not pass; 0 where there is none.
    func quantile(_ part: Double) -> UInt64 {
        let rank = Swift.max(1, Int((Double(count) * part).rounded(.up)))
        var passed = 0
        for (index, inBucket) in counts.enumerated() where inBucket > 0 {
            passed += inBucket
            if passed >= rank { return Swift.min(Self.upperEnd(of: index), max) }
        }
        return 0
    }

    /// How many durations are below each power of two and at least half of it, from the first that has any to the
    /// last.
    var doublings: [(below: UInt64, count: Int)] {
        let all = (0..<64).map { index in
            (
                below: Self.upperEnd(of: (index + 1) * Self.bucketsInDoubling - 1) &+ 1,
                count: counts[index * Self.bucketsInDoubling..<(index + 1) * Self.bucketsInDoubling].reduce(
                    0, +)
            )
        }
        guard let first = all.firstIndex(where: { $0.count > 0 }),
            let last = all.lastIndex(where: { $0.count > 0 })
        else { return [] }
        return Array(all[first...last])
    }

    /// Below 32 a bucket for each value, then 32 for each doubling.
    private static func bucket(of value: UInt64) -> Int {
        let doubling = Swift.max(0, 63 - (value | 1).leadingZeroBitCount - 4)
        let within = Int(value >> UInt64(Swift.max(0, doubling - 1)))
        return doubling == 0 ? within : doubling * bucketsInDoubling + within - bucketsInDoubling
    }

    /// The largest value that counts in a bucket.
    private static func upperEnd(of bucket: Int) -> UInt64 {
        let doubling = bucket / bucketsInDoubling
        guard doubling > 0 else { return UInt64(bucket) }
        let within = UInt64(bucket % bucketsInDoubling + bucketsInDoubling)
        let (end, overflow) = (within + 1).multipliedReportingOverflow(by: 1 << UInt64(doubling - 1))
        return overflow ? .max : end - 1
    }
}
