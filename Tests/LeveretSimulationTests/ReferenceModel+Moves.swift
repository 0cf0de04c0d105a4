// MOVE: which messages the core was seen to move, and whether it should have moved others.

import LeveretCore

extension ReferenceModel {
    /// Moves the message that was seen to arrive elsewhere; false where none did by a move.
    func explainMove(_ arrival: Arrival) throws -> Bool {
        for move in moves {
            let moved = move.candidates.first {
                $0.message.id == arrival.messageID && $0.deaths == arrival.deaths && !isCounted($0)
            }
            guard let moved else { continue }
            try advance(move, moved)
            return true
        }
        return false
    }

    /// Moves the first message that has left the core and was not seen to arrive: a rule has removed it at once.
    /// (Out of a queue that drops its head, one may have gone that way.)
    func moveUnseen(where isMeant: (ModelMove) -> Bool = { _ in true }) throws -> Bool {
        for move in moves where isMeant(move) {
            guard let moved = move.candidates.first(where: { !isPending($0) }) else { continue }
            try advance(move, moved)
            return true
        }
        return false
    }

    private func advance(_ move: ModelMove, _ copy: Copy) throws {
        move.source.ready.removeAll { $0 === copy }
        copy.state = .gone
        move.moved += 1
        move.copies.append(copy)
        var copies: [Copy] = []
        for (target, message) in destinations(of: move, copy.message) {
            copies.append(try append(message, to: target, deaths: copy.deaths))
        }
        copy.fate = .moved(copies)
    }

    private func destinations(of move: ModelMove, _ message: ModelMessage) -> [(ModelQueue, ModelMessage)] {
        if let target = move.target { return [(target, message)] }
        let copy = message.sent(
            to: move.toExchange ?? "", key: move.key ?? message.key, cc: message.cc,
            expiration: message.expiration)
        let reached = route(exchange: copy.exchange, keys: [copy.key] + copy.cc, headers: copy.headers) ?? []
        return inOrderSeen(reached.filter { !isFull($0, for: copy) }, copy).map { ($0, copy) }
    }

    /// Notes which moves the core has ended in this step, and what they left behind.
    func noteEndedMoves() {
        for move in moves where isEnded(move.ticket) { end(move) }
    }

    private func end(_ move: ModelMove) {
        guard !move.isOver else { return }
        // Where reads are late, others may have come in between the search and the move.
        if isExact, move.condition != nil { move.leftBehind = move.candidates.first }
        move.isOver = true
    }

    func moveEnded(_ move: ModelMove, _ answer: Answer) throws {
        moves.removeAll { $0 === move }
        end(move)
        switch answer {
        case .count(let count):
            try require(count == move.moved, "a MOVE says \(count); \(move.moved) were moved")
            for copy in move.copies {
                try require(onDisk[copy.number] == nil, "a MOVE was answered before it was durable")
            }
            try require(
                move.leftBehind == nil, "a MOVE left message \(move.leftBehind?.number ?? 0) where it was")
        case .refused: break
        default: throw Violation("a MOVE was answered '\(answer)'")
        }
    }
}
