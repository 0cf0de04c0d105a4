// What all connections of a server share of its memory: room for large bodies while they are received, and for
// what stands between BEGIN and COMMIT. The rest of what a connection may hold is small and its own.
//
// A large body is received only once there is room for all of it, so whoever has begun can finish, and nobody
// waits for one who waits. A transaction, whose end can't be foreseen, is refused where there is no room.

import Leveret
import NIOCore
import Synchronization

/// The room, and who has it.
final class SharedRoom: Sendable {
    private struct Waiting {
        let owner: ObjectIdentifier
        let bytes: Int
        let grant: @Sendable () -> Void
    }

    private struct Partial {
        let bytes: Int
        let end: @Sendable () -> Void
    }

    private struct State {
        var partial: [ObjectIdentifier: Partial] = [:]
        var partialBytes = 0
        var taken = 0
        var owners: [ObjectIdentifier: Int] = [:]
        var waiting = CircularBuffer<Waiting>()
    }

    private let receivingBytesMax: Int
    private let transactionBytesMax: Int
    /// Guards who has room for a body, who waits for it, and whose have come in part.
    private let state = Mutex(State())
    private let transactionBytes = Atomic(0)

    init(_ limits: ServerLimits) {
        receivingBytesMax = limits.receivingBytesMax
        transactionBytesMax = limits.openTransactionBytesMax
    }

    /// Takes room for a body of `bytes`: at once, which is true, or in its turn, when `grant` is called on any
    /// thread. One that is larger than all the room is received alone.
    func take(_ bytes: Int, for owner: ObjectIdentifier, grant: @escaping @Sendable () -> Void) -> Bool {
        state.withLock { state in
            guard state.waiting.isEmpty, hasRoom(for: bytes, state) else {
                state.waiting.append(Waiting(owner: owner, bytes: bytes, grant: grant))
                return false
            }
            state.taken += bytes
            state.owners[owner] = bytes
            return true
        }
    }

    /// Gives back what `owner` has, or ends its wait.
    func leave(_ owner: ObjectIdentifier) {
        let granted = state.withLock { state -> [Waiting] in
            if let bytes = state.owners.removeValue(forKey: owner) {
                state.taken -= bytes
            } else {
                state.waiting.removeAll { $0.owner == owner }
            }
            var granted: [Waiting] = []
            while let next = state.waiting.first, hasRoom(for: next.bytes, state) {
                state.waiting.removeFirst()
                state.taken += next.bytes
                state.owners[next.owner] = next.bytes
                granted.append(next)
            }
            return granted
        }
        for next in granted { next.grant() }
    }

    private func hasRoom(for bytes: Int, _ state: State) -> Bool {
        state.taken == 0 || bytes <= receivingBytesMax - state.taken
    }

    /// Counts what a connection's open transaction has grown or shrunk by; false where all of them are too much.
    func transactionChanged(by bytes: Int) -> Bool {
        let (_, sum) = transactionBytes.add(bytes, ordering: .relaxed)
        return bytes <= 0 || sum <= transactionBytesMax
    }

    /// Counts what a connection's half-received AMQP bodies hold now. Where they hold more than before and all of them
    /// too much, the connection that holds the most is to end: its `end` is called, on any thread. AMQP tells a body's
    /// size before it comes, but may send several at once, so none can wait for another.
    func partialBodies(of owner: ObjectIdentifier, hold bytes: Int, end: @escaping @Sendable () -> Void) {
        let largest = state.withLock { state -> Partial? in
            let before = state.partial.removeValue(forKey: owner)?.bytes ?? 0
            if bytes > 0 { state.partial[owner] = Partial(bytes: bytes, end: end) }
            state.partialBytes += bytes - before
            guard bytes > before, state.partialBytes > receivingBytesMax,
                let largest = state.partial.max(by: { $0.value.bytes < $1.value.bytes })
            else { return nil }
            // Its room is free from here on: nobody else is to end for it.
            state.partialBytes -= largest.value.bytes
            return state.partial.removeValue(forKey: largest.key)
        }
        largest?.end()
    }

    /// What a connection is refused with for whose bodies there is no room.
    var partialBodiesRefusal: BrokerError {
        BrokerError(
            .resourceError,
            "bodies that are being received hold \(receivingBytesMax) bytes, as many as they may; try again later"
        )
    }

    /// What a transaction is refused with for which there is no room.
    var transactionRefusal: BrokerError {
        BrokerError(
            .resourceError,
            "open transactions hold \(transactionBytesMax) bytes, as many as they may; commit in smaller parts, "
                + "or try again later")
    }
}
