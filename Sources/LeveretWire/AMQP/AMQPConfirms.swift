// Publisher confirms of one channel: which publishes are safe, told with as few acks as can be.

import NIOCore

/// Counts publishes from 1 and acks them, several at once where they stand in a row (RabbitMQ's confirm mode).
struct AMQPConfirms: Sendable {
    private var published: UInt64 = 0
    /// Every publish below is told.
    private var firstUntold: UInt64 = 1
    /// Publishes from `firstUntold` through this one are safe and not told yet.
    private var safeThrough: UInt64 = 0
    /// Behind one that is not known to be safe: told on their own, so no ack of several may cover them.
    private var toldEarly: Set<UInt64> = []

    /// Publishes that are not known to be safe, or refused.
    var unconfirmed: Int { Int(clamping: published - safeThrough) - toldEarly.count }

    /// The number of the next publish.
    mutating func take() -> UInt64 {
        published += 1
        return published
    }

    /// A publish is safe.
    mutating func safe(_ number: UInt64, on channel: UInt16, to out: inout ByteBuffer) {
        guard number == safeThrough + 1 else {
            guard number > safeThrough, number <= published, toldEarly.insert(number).inserted else { return }
            return AMQPWriter.ack(number, multiple: false, on: channel, to: &out)
        }
        safeThrough = number
        passTold(on: channel, to: &out)
    }

    /// A publish was refused.
    mutating func refused(_ number: UInt64, on channel: UInt16, to out: inout ByteBuffer) {
        flush(on: channel, to: &out)
        AMQPWriter.nack(number, on: channel, to: &out)
        guard number == safeThrough + 1 else {
            if number > safeThrough { toldEarly.insert(number) }
            return
        }
        safeThrough = number
        firstUntold = number + 1
        passTold(on: channel, to: &out)
    }

    /// Tells what is safe and was not told.
    mutating func flush(on channel: UInt16, to out: inout ByteBuffer) {
        guard safeThrough >= firstUntold else { return }
        AMQPWriter.ack(safeThrough, multiple: safeThrough > firstUntold, on: channel, to: &out)
        firstUntold = safeThrough + 1
    }

    /// Goes past those that were told on their own.
    private mutating func passTold(on channel: UInt16, to out: inout ByteBuffer) {
        guard !toldEarly.isEmpty, toldEarly.contains(safeThrough + 1) else { return }
        flush(on: channel, to: &out)
        while toldEarly.remove(safeThrough + 1) != nil { safeThrough += 1 }
        firstUntold = safeThrough + 1
    }
}
