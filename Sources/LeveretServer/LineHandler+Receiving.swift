// How a connection receives large requests: when there is room for one, how fast it must come, and how long a client
// may stop in the middle of any.

import Leveret
import LeveretWire
import NIOCore

extension LineHandler {
    /// A large body is received once there is room for it; until then nothing more is read.
    func askForRoom(_ context: ChannelHandlerContext) {
        let bytes = session.awaitedBytes
        let request = session.requestsRead
        switch reception {
        case .small: break
        case .waiting(request) where bytes > 0, .admitted(request) where bytes > 0: return
        case .waiting, .admitted: leaveReception()
        }
        guard bytes > limits.smallRequestBytesMax else { return }
        let loop = context.eventLoop
        let bound = NIOLoopBound((handler: self, context: context), eventLoop: loop)
        let isAdmitted = room.take(bytes, for: ObjectIdentifier(self)) {
            loop.execute { bound.value.handler.admitted(request, bound.value.context) }
        }
        reception = isAdmitted ? .admitted(request: request) : .waiting(request: request)
    }

    private func admitted(_ request: UInt64, _ context: ChannelHandlerContext) {
        guard case .waiting(request) = reception else { return }
        reception = .admitted(request: request)
        turn(context)
    }

    private func leaveReception() {
        pace = nil
        guard case .small = reception else {
            reception = .small
            return room.leave(ObjectIdentifier(self))
        }
    }

    /// Tells the shared room what has come to the open transaction, or gone from it.
    func countTransaction() {
        let grown = session.transactionBytes - transactionBytes
        guard grown != 0 else { return }
        transactionBytes += grown
        if !room.transactionChanged(by: grown) {
            session.spoilTransaction(with: room.transactionRefusal)
            countTransaction()
        }
    }

    /// Gives back what the shared room counts of this connection.
    func leaveRoom() {
        leaveReception()
        _ = room.transactionChanged(by: -transactionBytes)
        transactionBytes = 0
    }

    /// True while it is for the client to go on with a request.
    private var isClientsTurn: Bool {
        switch reception {
        case .waiting: false
        // Whatever else holds it up: others wait for its room.
        case .admitted: door?.shouldPause != true
        case .small: session.isInsideRequest && !flow.isStalled && !flow.isReadPending
        }
    }

    /// A client that stops in the middle of a request, or is too slow with a large one, is closed in the end.
    func watchForStall(_ context: ChannelHandlerContext) {
        guard isClientsTurn else {
            pace = nil
            return
        }
        if pace == nil, case .admitted = reception {
            pace = (context.eventLoop.now, session.arrivedBytes)
        }
        guard stallTimer == nil else { return }
        let begin = pace.map { min($0.since, flow.lastRead) } ?? flow.lastRead
        let deadline = begin + .seconds(Int64(limits.stalledSeconds))
        stallTimer = context.eventLoop.assumeIsolated().scheduleTask(deadline: deadline) { [self] in
            stallTimer = nil
            guard !isClosing else { return }
            guard isClientsTurn, let stall = stall(now: context.eventLoop.now) else {
                return watchForStall(context)
            }
            session.end(with: BrokerError(.frameError, stall), out: &out)
            turn(context)
        }
    }

    /// How the client holds up a request, if it does.
    private func stall(now: NIODeadline) -> String? {
        let seconds = limits.stalledSeconds
        func isOver(_ begin: NIODeadline) -> Bool { begin + .seconds(Int64(seconds)) <= now }
        guard !isOver(flow.lastRead) else {
            return "no bytes for \(seconds) s within a request, which was not run; closing"
        }
        guard let pace, isOver(pace.since) else { return nil }
        let bytes = session.arrivedBytes - pace.arrivedBytes
        let least = limits.bytesLeast(of: session.awaitedBytes)
        guard bytes < least else {
            self.pace = nil
            return nil
        }
        return "\(bytes) bytes in \(seconds) s of a large request, which was not run; send at least "
            + "\(least) in that time; closing"
    }
}
