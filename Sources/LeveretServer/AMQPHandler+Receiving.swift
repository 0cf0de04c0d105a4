// What an AMQP connection holds of the room that all share: bodies that have come in part, which must go on coming, and
// transactions that are open.

import Leveret
import LeveretWire
import NIOCore

extension AMQPHandler {
    /// Tells the shared room what the connection holds. One for whose transaction there is none is closed, and where
    /// there is none for bodies, who holds the most.
    func countRoom(_ context: ChannelHandlerContext) {
        if session.receivingBytes != counted.bodies {
            counted.bodies = session.receivingBytes
            let loop = context.eventLoop
            let bound = NIOLoopBound((handler: self, context: context), eventLoop: loop)
            room.partialBodies(of: ObjectIdentifier(self), hold: counted.bodies) { [room] in
                loop.execute { bound.value.handler.end(bound.value.context, for: room.partialBodiesRefusal) }
            }
            if counted.bodies > 0 { watchBodies(context) }
        }
        let grown = session.transactionBytes - counted.transactions
        guard grown != 0 else { return }
        counted.transactions += grown
        guard !room.transactionChanged(by: grown) else { return }
        session.end(for: room.transactionRefusal, out: &out)
        // What must follow is a step of its own.
        flow.isTurnWanted = true
    }

    /// Gives back what the shared room counts of this connection.
    func leaveRoom() {
        room.partialBodies(of: ObjectIdentifier(self), hold: 0) {}
        _ = room.transactionChanged(by: -counted.transactions)
        counted = (0, 0)
    }

    /// A client that stops in the middle of a body, or is too slow with a large one, is closed in the end: each must
    /// have grown when it is looked at again, unless the server has not read all the time.
    private func watchBodies(_ context: ChannelHandlerContext) {
        guard bodyTimer == nil else { return }
        _ = session.lookAtBodies { _ in 0 }
        hasWaited = flow.isReadPending
        let seconds = limits.stalledSeconds
        bodyTimer = context.eventLoop.assumeIsolated().scheduleTask(in: .seconds(Int64(seconds))) { [self] in
            bodyTimer = nil
            guard session.receivingBytes > 0, !isClosing else { return }
            if !hasWaited, let stalled = session.lookAtBodies(least: limits.bytesLeast(of:)) {
                let text =
                    "\(stalled.grown) bytes in \(seconds) s of a body on channel \(stalled.channel), which was not "
                    + "published; send at least \(stalled.least) in that time"
                return end(context, for: BrokerError(.frameError, text))
            }
            watchBodies(context)
        }
    }

    private func end(_ context: ChannelHandlerContext, for error: BrokerError) {
        guard context.channel.isActive, !isClosing, !session.isClosing else { return }
        session.end(for: error, out: &out)
        turn(context)
    }
}
