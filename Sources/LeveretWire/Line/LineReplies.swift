// The replies that are still owed to untagged requests, in the order of the requests. LineSession asks it
// what may be written.

import LeveretCore

/// A queue of owed replies: each is open, or has its answer and waits for those before it.
///
/// Nearly every answer is `OK` or `OK n`, so that a slot is one number; all others stand aside.
struct LineReplies: Sendable {
    /// An answer whose turn has not come.
    enum Held: Sendable {
        /// The broker's.
        case answer(Answer, LineReplyForm)
        /// A reply that needed no broker, written out.
        case bytes([UInt8])

        /// What it weighs; of the broker's, messages do.
        var bytes: Int {
            switch self {
            case .answer(.delivered(let delivery, _), _): delivery.message.footprint
            case .answer: 0
            case .bytes(let bytes): bytes.count
            }
        }
    }

    /// What a slot holds.
    enum Ready {
        case done
        case count(Int)
        case held(Held)
    }

    private static let open = -1
    private static let done = -2
    private static let aside = -3

    /// A ring; its length is a power of two.
    private var slots = [Int](repeating: Self.open, count: 64)
    private var first: UInt64 = 0
    private var next: UInt64 = 0
    private var held: [UInt64: Held] = [:]
    /// Bytes of replies that wait for their turn.
    private(set) var heldBytes = 0

    /// How many replies are owed.
    var count: Int { Int(next - first) }
    /// Nothing is owed.
    var isEmpty: Bool { next == first }

    /// Opens a slot and names it.
    mutating func opened() -> UInt64 {
        if count == slots.count { grow() }
        slots[index(next)] = Self.open
        next += 1
        return next - 1
    }

    /// True where this slot's turn has come.
    func isFirst(_ slot: UInt64) -> Bool { slot == first }

    /// True where this slot has no answer yet.
    func isOpen(_ slot: UInt64) -> Bool { slot >= first && slot < next && slots[index(slot)] == Self.open }

    /// The first slot's reply is written.
    mutating func wroteFirst() { first += 1 }

    /// Keeps an answer until its turn comes.
    mutating func keep(_ answer: Answer, _ form: LineReplyForm, in slot: UInt64) {
        switch (answer, form) {
        case (.done, .plain): slots[index(slot)] = Self.done
        case (.routed(let count), .plain), (.count(let count), .plain): slots[index(slot)] = max(0, count)
        default: keep(.answer(answer, form), in: slot)
        }
    }

    /// Keeps a reply until its turn comes.
    mutating func keep(_ bytes: [UInt8], in slot: UInt64) { keep(.bytes(bytes), in: slot) }

    private mutating func keep(_ reply: Held, in slot: UInt64) {
        slots[index(slot)] = Self.aside
        held[slot] = reply
        heldBytes += reply.bytes
    }

    /// What the first slot holds if it has its answer, and its name. It is to be written, or opened again.
    mutating func takeFirst() -> (ready: Ready, slot: UInt64)? {
        guard first < next else { return nil }
        let value = slots[index(first)]
        guard value != Self.open else { return nil }
        if value == Self.done { return (.done, first) }
        guard value == Self.aside, let aside = held.removeValue(forKey: first) else {
            return (.count(value), first)
        }
        heldBytes -= aside.bytes
        return (.held(aside), first)
    }

    /// More comes for the first slot.
    mutating func reopenFirst() { slots[index(first)] = Self.open }

    private func index(_ slot: UInt64) -> Int { Int(truncatingIfNeeded: slot) & (slots.count - 1) }

    private mutating func grow() {
        var larger = [Int](repeating: Self.open, count: slots.count * 2)
        for slot in first..<next {
            larger[Int(truncatingIfNeeded: slot) & (larger.count - 1)] = slots[index(slot)]
        }
        slots = larger
    }
}
