// MOVE with a condition: a search says which messages meet it, in order, a stretch at a time; each that is still
// as it was found is moved, a slice of them in a batch. What was edited, taken or has expired since stays.

import DequeModule

/// A move of what meets a condition.
final class FoundMove {
    let move: MoveInProgress
    let condition: String
    /// Found and not yet moved, in order.
    var found: Deque<FoundPlace> = []
    /// The last one that was found: the next search goes on behind it.
    var last: FoundPlace?
    /// There is nothing behind `last`.
    var isExhausted = false

    init(_ move: MoveInProgress, condition: String) {
        self.move = move
        self.condition = condition
    }
}

extension BrokerCore {
    /// Asks for the next stretch of what is to be moved.
    mutating func searchPlaces(_ found: FoundMove, now: Instant) {
        let move = found.move
        let search = PlaceSearch(
            condition: found.condition, after: found.last, through: move.through,
            countMax: min(move.left, limits.moveSearchMax))
        self.search(
            .places(search, overlay(of: move.source)), for: .move(found), move.session, now: now)
    }

    /// The search has answered.
    mutating func placesFound(
        _ found: FoundMove, _ result: Result<SearchFound, BrokerError>, now: Instant
    ) {
        switch result {
        case .success(.places(let places)):
            found.isExhausted = places.count < min(found.move.left, limits.moveSearchMax)
            found.last = places.last ?? found.last
            found.found = Deque(places)
            moveFoundSlice(found, now: now)
        case .success(.messages), .success(.table): end(found.move, nil)
        case .failure(let error) where found.move.moved == 0:
            answer(found.move.session, found.move.ticket, .refused(error))
        case .failure(let error): end(found.move, error)
        }
    }

    /// Moves what is in memory of what was found, a slice of it; what is only stored is read first.
    mutating func moveFoundSlice(_ found: FoundMove, now: Instant) {
        let move = found.move
        let source = move.source
        var slice = limits.sliceCount
        while move.left > 0, !source.isDeleted, let next = found.found.first {
            guard slice > 0 else { return work.append(.moveFound(found)) }
            slice -= 1
            let window = source[next.priority ?? 0]
            if let entry = window.entry(at: next.place), entry.number == next.number {
                guard entry.message != nil else { return readFound(found) }
                found.found.removeFirst()
                if let refusal = moveFound(next, nil, of: move, now: now) { return end(move, refusal) }
            } else if next.place > window.cursor {
                return readFound(found)
            } else {
                found.found.removeFirst()  // it has been taken meanwhile
            }
        }
        refill(source)
        if move.hasTaken { noteEmptied(source, now: now) }
        guard move.left > 0, !found.isExhausted, !source.isDeleted else { return end(move, nil) }
        searchPlaces(found, now: now)
    }

    private mutating func readFound(_ found: FoundMove) {
        let source = found.move.source
        // They are read by number, as many as there is room for: so the first of them must be the first to move.
        var numbers: [MessageNumber] = []
        for place in found.found.prefix(limits.sliceCount) {
            if let last = numbers.last, place.number < last { break }
            numbers.append(place.number)
        }
        let special = SpecialLoad(queue: source, purpose: .moveFound(found, removals: source.removals))
        _ = load(
            .numbers(numbers), countMax: numbers.count, bytesMax: limits.windowBytesMax, of: source,
            for: special)
    }

    /// Messages that are to be moved have been read.
    mutating func foundLoaded(_ found: FoundMove, removals: Int, _ result: LoadResult, now: Instant) {
        let move = found.move
        let source = move.source
        // What was removed since may be among them.
        guard !source.isDeleted, removals == source.removals else { return moveFoundSlice(found, now: now) }
        var rows: [MessageNumber: LoadedRow] = [:]
        for row in result.rows { rows[row.number] = row }
        let bytes = result.rows.reduce(0) { $0 + $1.message.bulk }
        let last = bytes > result.request.bytesMax ? result.rows.last?.number : nil
        for _ in 0..<result.request.countMax {
            guard move.left > 0, let next = found.found.first else { break }
            if let last, next.number > last { break }  // there was no room for it
            found.found.removeFirst()
            // One of a lower priority may be in memory and nowhere else.
            if let refusal = moveFound(next, rows[next.number], of: move, now: now) {
                dispatch(source, now: now)
                return end(move, refusal)
            }
        }
        dispatch(source, now: now)
        settleDying(now: now)
        work.append(.moveFound(found))
    }

    /// Moves one message, if it is ready and as it was found; `row` is what was read of it. Returns why not.
    private mutating func moveFound(
        _ place: FoundPlace, _ row: LoadedRow?, of move: MoveInProgress, now: Instant
    ) -> BrokerError? {
        let source = move.source
        let priority = place.priority ?? 0
        if let entry = source[priority].entry(at: place.place), entry.number == place.number {
            guard entry.version == place.version, entry.expires > now, move.takes(entry),
                let message = entry.message ?? row?.message,
                let taken = source[priority].remove(at: place.place)
            else { return nil }
            let replayed = move.isReplay ? taken.replayed(message, from: source, now: now) : message
            if let refusal = transfer(taken, of: source, to: move.target, replayed, now: now) {
                source.putBack(taken)
                return refusal
            }
            takeAway(taken, now: now)
        } else {
            guard let row, row.due == nil, row.place == place.place, isStillStored(row, in: source),
                row.version == place.version, row.expires > now
            else { return nil }
            // Past its delivery limit it is dead, and was not found yet.
            if let limit = source.settings.deliveryLimit, Int64(row.failed) > limit { return nil }
            let entry = Entry(row)
            guard move.takes(entry) else { return nil }
            let replayed = move.isReplay ? entry.replayed(nil, from: source, now: now) : row.message
            if let refusal = transferStored(row, replayed, of: source, to: move.target, now: now) {
                return refusal
            }
        }
        move.hasTaken = true
        move.left -= 1
        move.moved += 1
        return nil
    }
}

extension MoveInProgress {
    /// False for what has no other home that it could go back to.
    fileprivate func takes(_ entry: Entry) -> Bool {
        guard case .origin = target else { return true }
        return entry.deaths.map { $0.originQueue != source.name } ?? false
    }
}
