// The GETs that wait at one queue. There may be very many, so nothing that happens to one of them looks at all the
// others.

import DequeModule

/// A GET that waits for a message, or for the store to be read.
struct WaitingGet {
    var session: Session
    var ticket: Ticket
    var autoAck: Bool
    /// When it is answered with nothing; `nil` when it only waits for the store.
    var deadline: Instant?
}

/// GETs in the order in which they came, but for those of sessions that are passed over.
struct WaitingGets {
    /// Where a GET is found; ordered as they came.
    private struct Place: Comparable {
        var serial: UInt64
        var session: SessionID

        static func < (a: Self, b: Self) -> Bool { a.serial < b.serial }
    }

    /// When a GET ends.
    private struct End: Comparable {
        /// `.distantPast` for one without a deadline.
        var at: Instant
        var place: Place

        static func < (a: Self, b: Self) -> Bool { (a.at, a.place) < (b.at, b.place) }
    }

    /// The GETs of one session.
    private struct Line {
        /// In the order in which they came, and so by serial.
        var gets: Deque<(serial: UInt64, get: WaitingGet)> = []
        var serials: [Ticket: UInt64] = [:]
        /// None of them has its turn.
        var isPassedOver = false

        func index(of serial: UInt64) -> Int? {
            var (low, high) = (0, gets.count)
            while low < high {
                let middle = (low + high) / 2
                if gets[middle].serial < serial { low = middle + 1 } else { high = middle }
            }
            return low < gets.count && gets[low].serial == serial ? low : nil
        }
    }

    /// None is empty but those that are passed over.
    private var lines: [SessionID: Line] = [:]
    /// The first of each line that is not passed over.
    private var turns = SortedRuns<Place>()
    /// When each ends.
    private var ends = SortedRuns<End>()
    private var nextSerial: UInt64 = 1

    /// None waits.
    var isEmpty: Bool { ends.first == nil }

    /// The first deadline.
    var earliestDeadline: Instant { ends.first(after: Self.lastWithoutDeadline)?.at ?? .distantFuture }

    private static let lastWithoutDeadline = End(
        at: .distantPast, place: Place(serial: .max, session: SessionID(0)))

    mutating func append(_ get: WaitingGet) {
        let place = Place(serial: nextSerial, session: get.session.id)
        nextSerial += 1
        ends.insert(End(at: get.deadline ?? .distantPast, place: place))
        var line = lines.removeValue(forKey: place.session) ?? Line()
        if line.gets.isEmpty, !line.isPassedOver { turns.insert(place) }
        line.gets.append((place.serial, get))
        line.serials[get.ticket] = place.serial
        lines[place.session] = line
    }

    /// The one whose turn it is.
    var first: WaitingGet? { turns.first.flatMap { lines[$0.session]?.gets.first?.get } }

    /// Leaves out what this session has asked for, also later, until `resume`.
    mutating func passOver(_ session: SessionID) {
        guard let first = lines[session]?.gets.first else { return }
        lines[session]?.isPassedOver = true
        turns.remove(Place(serial: first.serial, session: session))
    }

    /// What this session has asked for has its turn again.
    mutating func resume(_ session: SessionID) {
        guard lines[session]?.isPassedOver == true else { return }
        lines[session]?.isPassedOver = false
        if let first = lines[session]?.gets.first {
            turns.insert(Place(serial: first.serial, session: session))
        } else {
            lines[session] = nil
        }
    }

    /// Takes the one whose turn it is.
    mutating func popFirst() -> WaitingGet? { turns.first.flatMap { remove($0) } }

    /// Takes out the one that this session asked for with this ticket.
    mutating func remove(_ ticket: Ticket, of session: SessionID) -> WaitingGet? {
        lines[session]?.serials[ticket].flatMap { remove(Place(serial: $0, session: session)) }
    }

    /// Takes out those of one session. O(these).
    mutating func removeAll(of session: SessionID) -> [WaitingGet] {
        (lines[session]?.gets ?? []).compactMap { remove(Place(serial: $0.serial, session: session)) }
    }

    /// Takes out those that have no deadline.
    mutating func removeAllWithoutDeadline() -> [WaitingGet] { removeAll(after: nil, endingBy: .distantPast) }

    /// Takes out those whose deadline has come, in the order of their deadlines.
    mutating func removeAll(overBy time: Instant) -> [WaitingGet] {
        removeAll(after: Self.lastWithoutDeadline, endingBy: time)
    }

    /// Takes all out.
    mutating func removeAll() -> [WaitingGet] { removeAll(after: nil, endingBy: .distantFuture) }

    private mutating func removeAll(after start: End?, endingBy time: Instant) -> [WaitingGet] {
        var places: [Place] = []
        ends.walk(after: start) { end in
            guard end.at <= time else { return false }
            places.append(end.place)
            return true
        }
        return places.compactMap { remove($0) }
    }

    private mutating func remove(_ place: Place) -> WaitingGet? {
        guard var line = lines.removeValue(forKey: place.session) else { return nil }
        guard let index = line.index(of: place.serial) else {
            lines[place.session] = line
            return nil
        }
        let get = line.gets.remove(at: index).get
        line.serials[get.ticket] = nil
        ends.remove(End(at: get.deadline ?? .distantPast, place: place))
        if index == 0, !line.isPassedOver {
            turns.remove(place)
            if let next = line.gets.first {
                turns.insert(Place(serial: next.serial, session: place.session))
            }
        }
        if !line.gets.isEmpty || line.isPassedOver { lines[place.session] = line }
        return get
    }
}
