// Decides when something runs out: free disk, memory, connections. It gets what was measured and says which alarms
// begin and end; the server measures once a second and tells the broker.
//
// An alarm ends a good way behind where it began, so that it doesn't come and go with every message.

import Leveret

/// When a server says that something runs out.
public struct AlarmThresholds: Hashable, Sendable {
    /// With fewer bytes free on the disk of the database, publishes are refused, until a quarter more are free;
    /// 0 is never.
    public var diskFreeBytesMin = 50 << 20
    /// With more bytes of memory in use by the process, publishes are refused, until it is a tenth less; 0 is never.
    public var residentBytesMax = 0

    /// The defaults: 50 MiB of disk, any memory.
    public init() {}
}

/// What there is, at one moment.
struct ResourceReading: Equatable, Sendable {
    /// Bytes; `nil` when nobody knows.
    var diskFreeBytes: Int?
    /// Bytes.
    var residentBytes: Int
    var connections: Int
}

/// Which alarms hold.
struct ResourceWatch {
    /// An alarm that began, with what to say, or ended.
    struct Change: Equatable {
        let cause: AlarmCause
        /// `nil` where it ended.
        let text: String?
    }

    /// Looks from one time that memory is given back to the next.
    private static let looksBetween = 10

    private let thresholds: AlarmThresholds
    private var raised: Set<AlarmCause> = []
    /// Looks until memory may be given back again.
    private var looksToWait = 0

    init(_ thresholds: AlarmThresholds) { self.thresholds = thresholds }

    /// Called before each `measured`. True where so much memory is in use that freed memory should be given back, and
    /// then measured anew: an alarm is about what is needed, not about what was needed once.
    mutating func wantsMemoryBack(residentBytes: Int) -> Bool {
        looksToWait = max(0, looksToWait - 1)
        let most = thresholds.residentBytesMax
        guard most > 0, residentBytes >= most - most / 10, looksToWait == 0 else { return false }
        looksToWait = Self.looksBetween
        return true
    }

    /// Takes what was measured. `connectionsMax` are allowed.
    mutating func measured(_ reading: ResourceReading, connectionsMax: Int) -> [Change] {
        var changes: [Change] = []
        let (diskMin, memoryMax) = (thresholds.diskFreeBytesMin, thresholds.residentBytesMax)
        if diskMin > 0, let free = reading.diskFreeBytes {
            let text =
                "less than \(Amount.bytes(diskMin)) are free on the disk of the database: make room, or consume or "
                + "purge; at \(Amount.bytes(diskMin + diskMin / 4)) publishes are taken again (disk-free-min)"
            note(.disk, begins: free < diskMin, ends: free >= diskMin + diskMin / 4, text, &changes)
        }
        if memoryMax > 0 {
            let (used, low) = (reading.residentBytes, memoryMax - memoryMax / 10)
            let text =
                "the server has more than \(Amount.bytes(memoryMax)) of memory in use: let clients ack what they "
                + "hold; below \(Amount.bytes(low)) publishes are taken again (memory-max)"
            note(.memory, begins: used > memoryMax, ends: used < low, text, &changes)
        }
        let (open, few) = (reading.connections, connectionsMax - max(1, connectionsMax / 10))
        let text =
            "\(connectionsMax) connections are open, as many as there may be, and more are refused: close some, or "
            + "raise max-connections"
        note(.connections, begins: open >= connectionsMax, ends: open <= few, text, &changes)
        return changes
    }

    private mutating func note(
        _ cause: AlarmCause, begins: Bool, ends: Bool, _ text: String, _ changes: inout [Change]
    ) {
        if begins, raised.insert(cause).inserted { changes.append(Change(cause: cause, text: text)) }
        if ends, raised.remove(cause) != nil { changes.append(Change(cause: cause, text: nil)) }
    }
}
