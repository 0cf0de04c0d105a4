// Doubles: which ids count as seen, and publishes for which the core first asks the store.

import LeveretCore

extension ReferenceModel {
    /// True where the exchange it is published to has seen the message.
    func isDouble(_ message: ModelMessage) -> Bool {
        guard let id = message.dedupID, exchange(message.exchange)?.dedupWindow != nil else { return false }
        return seen["x\(message.exchange)"]?[id] ?? .min > now
    }

    /// True where the queue has seen the message.
    func isDouble(_ message: ModelMessage, in queue: ModelQueue) -> Bool {
        guard let id = message.dedupID else { return false }
        guard queue.deduplicatesQueued else {
            return queue.dedupWindow != nil && seen["q\(queue.name)"]?[id] ?? .min > now
        }
        // What dies in an input goes at its end.
        let dying = queue.knownDead.filter { isPending($0) || $0.diedInStep == steps }
        let out = (sessions + leaving).flatMap { $0.held.map(\.copy) + $0.handing }.filter {
            $0.queue === queue
        }
        return (queue.ready + queue.delayed + dying + out).contains {
            $0.isKnownByID && $0.message.dedupID == id
        }
    }

    /// A queue has taken a message of a client.
    func noteTaken(_ copy: Copy) {
        guard let id = copy.message.dedupID else { return }
        copy.isKnownByID = copy.queue.deduplicatesQueued
        if copy.isKnownByID, case .condemned = copy.state { copy.queue.knownDead.append(copy) }
        if let window = copy.queue.dedupWindow {
            seen["q\(copy.queue.name)", default: [:]][id] = now + window
        }
    }

    /// An exchange has handed on a message of a client.
    func noteHandedOn(_ message: ModelMessage) {
        guard let id = message.dedupID, let window = exchange(message.exchange)?.dedupWindow else { return }
        seen["x\(message.exchange)", default: [:]][id] = now + window
    }

    /// The store was seen to answer: those who waited for it go on, in their order.
    func publishWaiting() throws {
        while let next = waitingPublishes.first, !isWaiting(next.ticket) {
            waitingPublishes.removeFirst()
            let isOpen = sessions.contains { $0 === next.session }
            // A virtual host that was deleted meanwhile refuses, also where one of its name is there again.
            if next.vhost.isEmpty {
                refuse(next.ticket, .notFound)
                if !isOpen { (expected[next.ticket], askers[next.ticket]) = (nil, nil) }
                continue
            }
            if !isOpen, case .transaction = next.call { continue }
            try perform(next.call, next.session, next.ticket, ids: next.ids)
            if !isOpen { (expected[next.ticket], askers[next.ticket]) = (nil, nil) }
            // What dies of this goes on before the next is looked at.
            try dispatchAll()
            while let arrival = arrivals.min(by: { $0.number < $1.number }), !arrival.deaths.isEmpty {
                if let dead = dead(behind: arrival) {
                    try transfer(dead)
                } else if try !sendUnseen() {
                    break
                }
            }
            steps += 1
        }
    }

    /// The ids that a restart finds again.
    func durableIDs() -> [String: [String: Int64]] {
        var names: Set<String> = []
        for queue in queues where queue.isDurable { names.insert("q\(queue.name)") }
        for exchange in exchanges where exchange.isDurable { names.insert("x\(exchange.name)") }
        return seen.filter { names.contains($0.key) }
    }
}
