// Texts compared as RabbitMQ and SQLite compare them: byte by byte. Swift takes for equal what only looks the
// same, such as é written as one character or as two; a queue's name, a routing key or a message's id must not be
// taken for another's. Hashing is left to Swift: what has the same bytes has the same hash.

extension String {
    /// True where both are the same bytes of UTF-8.
    public func hasSameBytes(as other: String) -> Bool {
        #if _pointerBitWidth(_64)
        // A String is two words; equal words are the same text, unequal ones say nothing. Of nearly all texts that are
        // equal the words are.
        if unsafeBitCast(self, to: SIMD2<UInt64>.self) == unsafeBitCast(other, to: SIMD2<UInt64>.self) {
            return true
        }
        #endif
        let count = utf8.count
        guard count == other.utf8.count else { return false }
        let found = utf8.withContiguousStorageIfAvailable { a in
            other.utf8.withContiguousStorageIfAvailable { b in
                Self.areEqual(UnsafeRawBufferPointer(a), UnsafeRawBufferPointer(b), count)
            }
        }
        return (found ?? nil) ?? utf8.elementsEqual(other.utf8)
    }

    /// True where this stands before `other` in the order of their bytes.
    package func precedesByBytes(_ other: String) -> Bool {
        let found = utf8.withContiguousStorageIfAvailable { a in
            other.utf8.withContiguousStorageIfAvailable { b in a.lexicographicallyPrecedes(b) }
        }
        return (found ?? nil) ?? utf8.lexicographicallyPrecedes(other.utf8)
    }

    @inline(__always)
    private static func areEqual(
        _ a: UnsafeRawBufferPointer, _ b: UnsafeRawBufferPointer, _ count: Int
    ) -> Bool {
        var index = 0
        while count - index >= 8 {
            guard
                a.loadUnaligned(fromByteOffset: index, as: UInt64.self)
                    == b.loadUnaligned(fromByteOffset: index, as: UInt64.self)
            else { return false }
            index += 8
        }
        while index < count {
            guard a[index] == b[index] else { return false }
            index += 1
        }
        return true
    }
}

/// A text as a key: equal where the bytes are.
struct ByteKey: Hashable {
    let text: String

    init(_ text: String) { self.text = text }

    static func == (a: Self, b: Self) -> Bool { a.text.hasSameBytes(as: b.text) }
}
