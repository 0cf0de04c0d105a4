// One line-protocol connection on its event loop: carries bytes to the session machine, submissions to the
// broker, events back, and bytes out. It decides when to read and when to close; nothing of what is said.
//
// One turn is: decode what was read, submit it as one batch, write what came of it as one write. Both ways
// stop when the other side lags: no reading while the client doesn't read or the broker waits for the disk,
// no draining of deliveries while the client doesn't read.

import Leveret
import LeveretWire
import Logging
import NIOCore

final class LineHandler: ChannelDuplexHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    /// A drained or answered socket's buffer larger than this is given back.
    private static let keptBytesMax = 1 << 20
    /// Pages of listings that are written before other connections have their turn.
    private static let pagesInTurnMax = 4

    /// Where a large body stands that is being received.
    enum Reception {
        /// There is none, or it is small.
        case small
        /// Nothing is read until it is this one's turn: the request of this number.
        case waiting(request: UInt64)
        /// It has the room it takes.
        case admitted(request: UInt64)
    }

    private let broker: Broker
    let limits: ServerLimits
    let room: SharedRoom
    let desk: PasswordDesk
    let logger: Logger
    let peer: Peer
    /// Past this many bytes, replies leave before the end of the turn.
    private let writeBytesMax: Int
    var session: LineSession
    private var connection: BrokerConnection?
    var door: BrokerSession?
    private var submissions: [Submission] = []
    private var events: [SessionEvent] = []
    var out = ByteBuffer()
    var reception = Reception.small
    /// What the shared room counts of this connection's open transaction.
    var transactionBytes = 0
    var flow = SocketFlow()
    private var isInputClosed = false
    var isClosing = false
    /// A turn comes after those of other connections.
    private var isTurnDue = false
    /// From where a large body's pace is measured; `nil` while none comes, or the broker waits for the disk.
    var pace: (since: NIODeadline, arrivedBytes: Int)?
    var stallTimer: Scheduled<Void>?
    /// Closes the connection of a client that must log in and doesn't.
    var loginTimer: Scheduled<Void>?
    /// Answers a wrong password.
    var lateAnswer: Scheduled<Void>?
    var wrongLogins = 0
    /// Closes what its client doesn't close. It holds all of this, so it goes with the connection.
    private var closeTimer: Scheduled<Void>?

    init(_ parts: ServerParts, peer: Peer) {
        broker = parts.broker
        limits = parts.limits
        room = parts.room
        desk = parts.desk
        logger = parts.logger
        self.peer = peer
        writeBytesMax = min(512 << 10, limits.line.batchBytesMax)
        session = LineSession(
            limits: limits.line, version: Broker.version, loginRefusal: peer.loginRefusal)
    }

    // MARK: what NIO says

    func handlerAdded(context: ChannelHandlerContext) {
        flow.lastRead = context.eventLoop.now
        watchForLogin(context)
        logger.debug("connection opened", metadata: ["peer": "\(peer.name)"])
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        session.received(unwrapInboundIn(data))
        flow.received()
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        if flow.readComplete(at: context.eventLoop.now) { turn(context) }
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        if context.channel.isWritable, flow.isStalled || flow.isReadPending { turn(context) }
    }

    func read(context: ChannelHandlerContext) {
        if flow.asked(toRead: mayRead(context)) { return context.read() }
        if door?.shouldPause == true { pace = nil }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        switch event {
        case ChannelEvent.inputClosed:
            isInputClosed = true
            if isClosing { context.close(promise: nil) } else { turn(context) }
        case is DrainEvent: drain(context)
        default: context.fireUserInboundEventTriggered(event)
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        logger.debug("connection failed", metadata: ["peer": "\(peer.name)", "error": "\(error)"])
        context.close(promise: nil)
    }

    func channelInactive(context: ChannelHandlerContext) {
        for timer in [stallTimer, closeTimer, loginTimer, lateAnswer] { timer?.cancel() }
        leaveRoom()
        door?.close()
        connection?.close()
        door = nil
        connection = nil
        logger.debug("connection closed", metadata: ["peer": "\(peer.name)"])
        context.fireChannelInactive()
    }

    // MARK: a turn

    /// Runs what was read, hands out what waits, and writes all of it.
    func turn(_ context: ChannelHandlerContext) {
        guard flow.enter() else { return }
        defer { flow.leave() }
        repeat {
            guard context.channel.isActive, !isClosing else { return }
            flow.beginPass()
            takeEvents(context)
            runRequests(context)
            endGets(context)
            flush(context)
            askForRoom(context)
        } while flow.isTurnWanted
        if session.isFinished {
            close(context)
        } else {
            let readsOn = flow.resume(mayRead(context), at: context.eventLoop.now)
            watchForStall(context)
            if readsOn { context.read() }
        }
    }

    /// Decodes and submits, batch by batch, until the bytes are used up or somebody lags.
    private func runRequests(_ context: ChannelHandlerContext) {
        var pages = 0
        while context.channel.isActive {
            if session.hasNextPage {
                // A long listing lets the other clients of this loop have their turns in between.
                guard pages < Self.pagesInTurnMax else { return turnLater(context) }
                pages += 1
            }
            guard context.channel.isWritable, door?.shouldPause != true else {
                flow.isStalled = true
                return
            }
            let progress = session.decode(into: &submissions, out: &out)
            countTransaction()
            let hasSubmitted = !submissions.isEmpty
            if hasSubmitted {
                submit(submissions, context)
                submissions.removeAll(keepingCapacity: true)
            }
            if out.readableBytes >= writeBytesMax { flush(context) }
            switch progress {
            case .batchFull: continue
            case .needsBytes where session.hasNextPage, .blocked where session.hasNextPage: continue
            case .needsBytes:
                if isInputClosed { session.inputEnded(out: &out) }
                return
            case .blocked:
                // What was submitted may have been answered at once, and made room.
                guard hasSubmitted, session.wantsBytes, !session.isFinished else { return }
            case .password:
                seeToPassword(context)
                guard session.passwordRequest == nil else { return }
            }
        }
    }

    /// A client that says no more waits for no message, however much else holds it up.
    private func endGets(_ context: ChannelHandlerContext) {
        guard isInputClosed, context.channel.isActive else { return }
        session.endGets(into: &submissions)
        guard !submissions.isEmpty else { return }
        submit(submissions, context)
        submissions.removeAll(keepingCapacity: true)
        // What waited for their answers goes on.
        flow.isTurnWanted = true
    }

    private func turnLater(_ context: ChannelHandlerContext) {
        guard !isTurnDue else { return }
        isTurnDue = true
        let bound = NIOLoopBound((handler: self, context: context), eventLoop: context.eventLoop)
        context.eventLoop.execute {
            bound.value.handler.isTurnDue = false
            bound.value.handler.turn(bound.value.context)
        }
    }

    func submit(_ submissions: [Submission], _ context: ChannelHandlerContext) {
        openDoor(context).submit(submissions, events: &events)
        hear(context)
    }

    /// Hands out what the broker has for this client, while the client reads.
    private func takeEvents(_ context: ChannelHandlerContext) {
        guard let door else { return }
        guard context.channel.isWritable else {
            flow.isStalled = true
            return
        }
        door.drain(into: &events)
        hear(context)
    }

    private func hear(_ context: ChannelHandlerContext) {
        guard !events.isEmpty else { return }
        var hasWritten = false
        session.heard(events, out: &out) { out in
            context.write(wrapOutboundOut(out), promise: nil)
            out = ByteBuffer()
            hasWritten = true
        }
        events.removeAll(keepingCapacity: true)
        if hasWritten { context.flush() }
    }

    private func flush(_ context: ChannelHandlerContext) {
        guard out.readableBytes > 0 else { return }
        context.writeAndFlush(wrapOutboundOut(out), promise: nil)
        if out.capacity > Self.keptBytesMax { out = ByteBuffer() } else { out.clear() }
    }

    private func mayRead(_ context: ChannelHandlerContext) -> Bool {
        if session.isFinished || isClosing { return true }
        if case .waiting = reception { return false }
        return session.wantsBytes && !session.hasNextPage && !flow.isStalled && context.channel.isWritable
            && door?.shouldPause != true
    }

    /// The client's place in the broker, made when its first request has come.
    func openDoor(_ context: ChannelHandlerContext) -> BrokerSession {
        if let door { return door }
        let connection = openConnection(context)
        let loop = context.eventLoop
        let bound = NIOLoopBound((handler: self, context: context), eventLoop: loop)
        let door = connection.openSession {
            loop.execute { bound.value.handler.turn(bound.value.context) }
        }
        self.door = door
        return door
    }

    /// The client's connection to the broker.
    func openConnection(_ context: ChannelHandlerContext) -> BrokerConnection {
        if let connection { return connection }
        let name = session.clientName.map { "\($0) \(peer.name)" } ?? peer.name
        let loop = context.eventLoop
        let bound = NIOLoopBound((handler: self, context: context), eventLoop: loop)
        var client = ClientDescription(protocolName: "line", peer: peer.name)
        client.name = session.clientName
        let connection = broker.openConnection(name: name, client: client) { reason in
            loop.execute { bound.value.handler.kill(bound.value.context, reason: reason) }
        }
        self.connection = connection
        return connection
    }

    // MARK: the end

    /// Answers what is owed, then closes.
    private func drain(_ context: ChannelHandlerContext) {
        guard context.channel.isActive, !isClosing else { return }
        if let door {
            door.submit([Submission(LineSession.silentTicket, .recover)], events: &events)
            hear(context)
        }
        session.drain(out: &out)
        turn(context)
    }

    /// An operator wants it closed: what it holds goes back at once, and what it asked is not answered any more.
    private func kill(_ context: ChannelHandlerContext, reason: String) {
        guard context.channel.isActive, !isClosing else { return }
        logger.info("connection killed", metadata: ["peer": "\(peer.name)", "reason": "\(reason)"])
        leaveRoom()
        door?.close()
        connection?.close()
        session.kill(reason: reason, out: &out)
        flush(context)
        close(context)
    }

    /// Closes once everything written has left. The client's bytes are read and dropped until it has closed,
    /// too, for a second at most: a socket closed on unread bytes may lose what was said last.
    private func close(_ context: ChannelHandlerContext) {
        isClosing = true
        stallTimer?.cancel()
        loginTimer?.cancel()
        if let violation = session.violation {
            logger.info("connection closed", metadata: ["peer": "\(peer.name)", "reason": "\(violation)"])
        }
        let loop = context.eventLoop.assumeIsolated()
        closeTimer = loop.scheduleTask(in: .seconds(Int64(limits.stalledSeconds))) {
            context.close(promise: nil)
        }
        let written = context.eventLoop.makePromise(of: Void.self)
        context.writeAndFlush(wrapOutboundOut(ByteBuffer()), promise: written)
        written.futureResult.assumeIsolated().whenComplete { [self] _ in
            if isInputClosed { return context.close(promise: nil) }
            context.close(mode: .output, promise: nil)
            closeTimer?.cancel()
            guard context.channel.isActive else { return }
            closeTimer = loop.scheduleTask(in: .seconds(1)) { context.close(promise: nil) }
            if flow.resume(true, at: flow.lastRead) { context.read() }
        }
    }
}
