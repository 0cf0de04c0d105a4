// IMPORT: a message comes back into one queue as it was when it was exported: under the exchange and key that it was
// published with, with its history of deaths, and delayed until the moment it was. Nothing is routed, and nobody
// takes it for a double.

extension BrokerCore {
    /// Puts a message into its queue and answers when it is safe. A full queue that rejects publishes has no room for
    /// it, unless it is delayed.
    mutating func restore(
        _ restored: RestoredMessage, _ ticket: Ticket, _ session: Session, now: Instant
    ) {
        let message = restored.message
        if let refusal = refusal(of: message, from: session) {
            return answer(session, ticket, .refused(refusal))
        }
        do throws(BrokerError) {
            let queue = try usableQueue(restored.queue, by: session)
            let due = restored.due.flatMap { $0 > now ? $0 : nil }
            guard due != nil || !isFull(queue, for: message) else { throw .full(queue.name) }
            let isDurable = isStoredDurably(message, in: queue)
            if !isDurable { answer(session, ticket, .routed(1)) }
            _ = enqueue(
                message, on: queue, due: due, deaths: restored.deaths,
                confirm: isDurable ? .one(session, ticket, routed: 1) : .none, now: now)
        } catch {
            answer(session, ticket, .refused(error))
        }
    }
}
