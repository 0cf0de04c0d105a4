// The batch: handing it to the writer, and what its commit sets free.

import DequeModule

extension BrokerCore {
    /// Moves out what has gathered; `nil` when there is nothing, a batch is still in flight, or bodies are awaited.
    /// The same batch must be applied, however often that takes, and then reported to `committed`.
    public mutating func takeBatch(now: Instant) -> WriteBatch? {
        guard inFlight == nil, !isAwaitingBodies else { return nil }
        guard gathering.hasChanges || gathering.isAwaited else {
            let answers = gathering.answers + gathering.rangeAnswers
            gathering.answers = []
            gathering.rangeAnswers = []
            gathering.hasMoves = false
            gathering.wish = .none
            // What slices of long work had added has been taken back.
            gathering.slices = 0
            for waiting in answers { answer(waiting.session, waiting.ticket, waiting.answer) }
            return nil
        }
        var taken = gathering
        gathering = Gathering(
            number: BatchNumber(taken.batch.number.rawValue + 1), rows: taken.batch.inserts.count)
        var batch = taken.batch
        batch.counters = taken.counters.all
        batch.places = taken.places.all
        batch.contents = taken.contents.all
        if !batch.ids.isEmpty { batch.idsEndedBy = now }
        taken.batch = WriteBatch()
        taken.batch.number = batch.number
        taken.batch.ranges = batch.ranges
        taken.counters = LatestUpdates()
        taken.places = LatestUpdates()
        taken.contents = LatestUpdates()
        inFlight = taken
        return batch
    }

    /// What waits for the next batch, as far as it takes copies from where they stand. Its ranges may be removed ahead
    /// of it: nobody sees their messages any more. But not those that it removes by number or gives another place.
    public var gatheredRemovals: WriteBatch {
        var batch = WriteBatch()
        batch.places = gathering.places.all
        batch.removals = gathering.batch.removals
        batch.ranges = gathering.batch.ranges
        return batch
    }

    /// A batch is on disk. `unfinished` are ranges of it that were too long for one transaction.
    public mutating func committed(_ number: BatchNumber, unfinished: [RangeRemoval], now: Instant) {
        guard let done = inFlight, done.batch.number == number else { return }
        inFlight = nil
        for confirm in done.confirms { fire(confirm) }
        for confirm in done.confirmsOfGone { fire(confirm) }
        for session in done.marked { marked(session, in: number) }
        for waiting in done.answers { answer(waiting.session, waiting.ticket, waiting.answer) }
        if unfinished.isEmpty {
            for waiting in done.rangeAnswers { answer(waiting.session, waiting.ticket, waiting.answer) }
        } else {
            gathering.batch.ranges.insert(contentsOf: unfinished, at: 0)
            gathering.rangeAnswers.insert(contentsOf: done.rangeAnswers, at: 0)
            gathering.wants(.now)
        }
        dropHeldBodies()
    }
}
