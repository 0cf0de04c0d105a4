// What tells, without a look into the file, that an id is among others hardly ever without being there: a Bloom filter
// whose bits of one id lie in one line of the processor's cache. The store has one for each run of ids, a column of its
// row; SeenIDs some for what it has forgotten.

/// A filter for ids.
package struct IDFilter: Sendable {
    /// Where the bits of an id are, whatever the filter's size. The same on every machine: filters are stored.
    package struct Place: Hashable {
        fileprivate let block: UInt64
        fileprivate let bits: UInt64

        /// That of `id` in the scope of this number.
        package init(_ id: String, scope: Int64) {
            var hash = Self.mixed(UInt64(bitPattern: scope) &+ 0xcbf2_9ce4_8422_2325)
            for byte in id.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
            block = Self.mixed(hash)
            bits = Self.mixed(block &+ 0x9e37_79b9_7f4a_7c15)
        }

        /// One of its bits in its block, from 0 to 511.
        fileprivate func bit(_ index: Int) -> Int { Int((bits >> UInt64(index * 9)) & 511) }

        /// Each bit of the result depends on each of `value`.
        private static func mixed(_ value: UInt64) -> UInt64 {
            var value = value
            value = (value ^ (value >> 30)) &* 0xbf58_476d_1ce4_e5b9
            value = (value ^ (value >> 27)) &* 0x94d0_49bb_1331_11eb
            return value ^ (value >> 31)
        }
    }

    /// One id in a hundred or so that is not there passes.
    private static let bitsPerID = 12
    private static let wordsPerBlock = 8
    private static let bitsSetPerID = 7

    private var words: [UInt64]

    /// An empty filter for `count` ids.
    package init(count: Int) {
        let blocks = max(1, (count * Self.bitsPerID + 511) / 512)
        words = Array(repeating: 0, count: blocks * Self.wordsPerBlock)
    }

    /// The filter that `bytes` hold; `nil` where they are none.
    package init?(_ bytes: [UInt8]) {
        guard !bytes.isEmpty, bytes.count.isMultiple(of: Self.wordsPerBlock * 8) else { return nil }
        words = bytes.withUnsafeBytes { raw in
            (0..<raw.count / 8).map {
                UInt64(littleEndian: raw.loadUnaligned(fromByteOffset: $0 * 8, as: UInt64.self))
            }
        }
    }

    /// What `init(_:)` reads.
    package var bytes: [UInt8] {
        var stored = words
        for index in stored.indices { stored[index] = stored[index].littleEndian }
        return stored.withUnsafeBytes { Array($0) }
    }

    /// Bytes that it takes up.
    package var footprint: Int { words.count * 8 }

    /// Lets the id of this place pass.
    package mutating func insert(_ place: Place) {
        let first = firstWord(of: place)
        for index in 0..<Self.bitsSetPerID {
            let bit = place.bit(index)
            words[first + bit / 64] |= 1 << UInt64(bit % 64)
        }
    }

    /// False where the id of this place was never inserted.
    package func mayHold(_ place: Place) -> Bool {
        let first = firstWord(of: place)
        return (0..<Self.bitsSetPerID).allSatisfy { index in
            let bit = place.bit(index)
            return words[first + bit / 64] & 1 << UInt64(bit % 64) != 0
        }
    }

    private func firstWord(of place: Place) -> Int {
        let blocks = UInt64(words.count / Self.wordsPerBlock)
        return Int(place.block.multipliedFullWidth(by: blocks).high) * Self.wordsPerBlock
    }
}
