// Who waits for which answer of a session. A ticket is the place of a slot and how often it was used, so that
// a late cancellation never meets somebody else's wait.

import LeveretCore

/// Who gets an answer.
enum Waiter: Sendable {
    case task(CheckedContinuation<Answer, any Error>)
    case handle(PublishHandle)

    /// Hands the answer on; never called under a lock.
    func resume(returning answer: Answer) {
        switch self {
        case .task(let continuation): continuation.resume(returning: answer)
        case .handle(let handle): handle.resolve(answer)
        }
    }
}

/// The open requests of one session. Operations are O(1) where nothing else is said.
struct WaiterTable {
    private enum Slot {
        case free(next: Int)
        case reserved
        case waiting(Waiter)
        /// Cancelled: the answer is still to come, for nobody.
        case abandoned
    }

    /// The ticket of requests whose answers nobody waits for.
    static let nobody = Ticket(.max)

    private var slots: [Slot] = []
    private var generations: [UInt32] = []
    private var firstFree = -1

    /// Whether an answer is still to come for anybody. O(n).
    var areWaiting: Bool {
        slots.contains { slot in
            if case .waiting = slot { true } else { false }
        }
    }

    /// A ticket for a request that is about to be submitted.
    mutating func reserve() -> Ticket {
        let index: Int
        if firstFree >= 0, case .free(let next) = slots[firstFree] {
            index = firstFree
            firstFree = next
            slots[index] = .reserved
        } else {
            index = slots.count
            slots.append(.reserved)
            generations.append(0)
        }
        return Ticket(UInt64(generations[index]) << 32 | UInt64(index))
    }

    /// Registers who waits for `ticket`. Returns false if it was abandoned before: the ticket is free again,
    /// and nothing must be submitted.
    mutating func wait(for ticket: Ticket, _ waiter: Waiter) -> Bool {
        guard let index = index(of: ticket) else { return false }
        if case .abandoned = slots[index] {
            release(index)
            return false
        }
        slots[index] = .waiting(waiter)
        return true
    }

    /// Takes the waiting task of `ticket` away, if it still waits.
    mutating func abandon(_ ticket: Ticket) -> CheckedContinuation<Answer, any Error>? {
        guard let index = index(of: ticket) else { return nil }
        switch slots[index] {
        case .reserved:
            slots[index] = .abandoned
            return nil
        case .waiting(.task(let continuation)):
            slots[index] = .abandoned
            return continuation
        case .waiting(.handle), .abandoned, .free:
            return nil
        }
    }

    /// Takes out who waits for the answer with `ticket`, which is done with.
    mutating func answered(_ ticket: Ticket) -> Waiter? {
        guard ticket != Self.nobody, let index = index(of: ticket) else { return nil }
        defer { release(index) }
        return if case .waiting(let waiter) = slots[index] { waiter } else { nil }
    }

    /// Takes out everybody: no answers will come.
    mutating func ended() -> [Waiter] {
        slots.indices.compactMap { index in
            guard case .waiting(let waiter) = slots[index] else { return nil }
            release(index)
            return waiter
        }
    }

    private func index(of ticket: Ticket) -> Int? {
        let index = Int(ticket.rawValue & 0xffff_ffff)
        guard index < slots.count, UInt64(generations[index]) == ticket.rawValue >> 32 else { return nil }
        return index
    }

    private mutating func release(_ index: Int) {
        generations[index] &+= 1
        slots[index] = .free(next: firstFree)
        firstFree = index
    }
}
