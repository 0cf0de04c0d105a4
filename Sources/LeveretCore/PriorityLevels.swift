// The windows of a queue with priorities, for the priorities above 0. It finds the highest that holds anything,
// in memory or only stored, and keeps the sums over all of them.

/// Windows by priority.
struct PriorityLevels {
    /// What the windows hold together.
    struct Sums {
        var inMemory = 0
        var bytes = 0
        var headerBytes = 0
        var storedCount = 0
        var storedBytes = 0

        fileprivate mutating func change(from before: Sums, to after: Sums) {
            inMemory += after.inMemory - before.inMemory
            bytes += after.bytes - before.bytes
            headerBytes += after.headerBytes - before.headerBytes
            storedCount += after.storedCount - before.storedCount
            storedBytes += after.storedBytes - before.storedBytes
        }
    }

    /// At index p − 1 that of priority p; as many as were ever used.
    private var windows: [Window] = []
    /// One bit for each priority that holds anything.
    private var occupied = SIMD4<UInt64>(repeating: 0)
    private(set) var sums = Sums()

    /// True where no window holds anything.
    var isEmpty: Bool { sums.inMemory == 0 && sums.storedCount == 0 }

    /// The window of a priority from 1 on.
    subscript(priority: UInt8) -> Window {
        _read {
            if Int(priority) <= windows.count {
                yield windows[Int(priority) - 1]
            } else {
                yield Window()
            }
        }
        _modify {
            while windows.count < Int(priority) { windows.append(Window()) }
            let index = Int(priority) - 1
            let before = windows[index].sums
            defer {
                sums.change(from: before, to: windows[index].sums)
                note(priority, isOccupied: !windows[index].isEmpty)
            }
            yield &windows[index]
        }
    }

    /// The priorities that were ever used, highest first.
    var priorities: some Sequence<UInt8> { (0..<windows.count).reversed().lazy.map { UInt8($0 + 1) } }

    /// The highest priority up to `limit` that holds anything; 0 if none does.
    func highest(upTo limit: UInt8 = .max) -> UInt8 {
        var word = Int(limit >> 6)
        var bits = occupied[word] & (UInt64.max >> (63 - UInt64(limit & 63)))
        while bits == 0 {
            guard word > 0 else { return 0 }
            word -= 1
            bits = occupied[word]
        }
        return UInt8(word * 64 + 63 - bits.leadingZeroBitCount)
    }

    private mutating func note(_ priority: UInt8, isOccupied: Bool) {
        let bit: UInt64 = 1 << UInt64(priority & 63)
        if isOccupied { occupied[Int(priority >> 6)] |= bit } else { occupied[Int(priority >> 6)] &= ~bit }
    }
}

extension Window {
    fileprivate var sums: PriorityLevels.Sums {
        PriorityLevels.Sums(
            inMemory: entries.count, bytes: bytes, headerBytes: headerBytes, storedCount: storedCount,
            storedBytes: storedBytes)
    }
}
