// The open channels of a connection by their numbers. Most frames are for the same channel as the one before.

/// Channels, found by number. O(1).
struct AMQPChannelTable: Sendable {
    /// The channels in no order.
    private(set) var all: [AMQPChannel] = []
    private var places: [UInt16: Int] = [:]
    private var last: (number: UInt16, place: Int)?

    /// Where a channel stands in `all` until one is removed.
    mutating func place(of number: UInt16) -> Int? {
        if let last, last.number == number { return last.place }
        guard let place = places[number] else { return nil }
        last = (number, place)
        return place
    }

    /// The channel at a place.
    subscript(place: Int) -> AMQPChannel {
        _read { yield all[place] }
        _modify { yield &all[place] }
    }

    /// Adds a channel whose number is free.
    mutating func insert(_ channel: AMQPChannel) {
        places[channel.number] = all.count
        all.append(channel)
    }

    /// Takes a channel away.
    mutating func remove(_ number: UInt16) -> AMQPChannel? {
        guard let place = places.removeValue(forKey: number) else { return nil }
        last = nil
        let removed = all[place]
        let end = all.removeLast()
        if place < all.count {
            all[place] = end
            places[end.number] = place
        }
        return removed
    }

    /// Takes all away.
    mutating func removeAll() { self = AMQPChannelTable() }
}
