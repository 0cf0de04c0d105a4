// MOVE: which messages the core was seen to move, and whether it should have moved others.

import LeveretCore

extension ReferenceModel {
    /// Moves what the core has moved in this step: that comes before all that dies of it.
    func explainMoves() throws {
        for move in moves {
            let left = move.candidates.filter { !isPending($0) }
            move.leaving = Array(left.prefix(max(0, movedInCore(move.ticket) - move.moved)))
            while !move.leaving.isEmpty { try advance(move, move.leaving.removeFirst()) }
        }
    }

    /// True where a move takes the copy away in this step.
    func isMoving(_ copy: Copy) -> Bool {
        moves.contains { $0.leaving.contains { $0 === copy } }
    }

    private func advance(_ move: ModelMove, _ copy: Copy) throws {
        move.source.ready.removeAll { $0 === copy }
        copy.state = .gone
        move.moved += 1
        move.copies.append(copy)
        var copies: [Copy] = []
        for (target, message) in destinations(of: move, copy) {
            copies.append(try append(message, to: target, deaths: copy.deaths))
        }
        copy.fate = .moved(copies)
    }

    private func destinations(of move: ModelMove, _ copy: Copy) -> [(ModelQueue, ModelMessage)] {
        let old = copy.message
        if let target = move.target { return [(target, old)] }
        let sent = old.sent(
            to: move.toExchange ?? "", key: move.key ?? old.key, cc: old.cc, expiration: old.expiration)
        let reached = route(exchange: sent.exchange, keys: [sent.key] + sent.cc, headers: sent.headers) ?? []
        return inOrderSeen(reached.filter { !isFull($0, for: sent) }, sent, copy.deaths).map { ($0, sent) }
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
