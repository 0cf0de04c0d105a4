// One AMQP connection on its event loop: carries bytes to the session machine, its requests to the broker, events back,
// and bytes out. It decides when to read and when to close; nothing of what is said.
//
// A turn is as LineHandler's: run what was read, a lock for each run of requests of one channel, and write what came of
// it as one write. Both ways stop when the other side lags.

import Leveret
import LeveretWire
import Logging
import NIOCore

final class AMQPHandler: ChannelDuplexHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    /// A drained or answered socket's buffer larger than this is given back.
    private static let keptBytesMax = 1 << 20
    /// How long a client may take to answer connection.close, and one that can't hear why it is refused is kept from
    /// trying again.
    private static let closingTime = TimeAmount.seconds(3)

    let broker: Broker
    let limits: ServerLimits
    let room: SharedRoom
    let desk: PasswordDesk
    let logger: Logger
    let peer: Peer
    private let writeBytesMax: Int
    var session: AMQPSession
    var connection: BrokerConnection?
    /// Who has logged in; `nil` for one that may do everything.
    var user: (name: UserName, passwordHash: String)?
    private var doors: [UInt16: BrokerSession] = [:]
    /// Channels for which events wait.
    private var woken: [UInt16] = []
    /// The channel whose door said last that the disk lags.
    private var pausedChannel: UInt16?
    private var submissions: [Submission] = []
    private var events: [SessionEvent] = []
    var out = ByteBuffer()
    /// What the shared room counts of this connection.
    var counted = (bodies: 0, transactions: 0)
    var flow = SocketFlow()
    /// The pipeline had to wait to read since the bodies were last looked at.
    var hasWaited = false
    /// Looks at the bodies that are being received.
    var bodyTimer: Scheduled<Void>?
    private var isInputClosed = false
    var isClosing = false
    /// The server has closed the connection, and the client is to say so, too.
    private var isEnding = false
    /// Something was written since the last heartbeat was due.
    private var hasWritten = false
    private var heartbeats: RepeatedTask?
    /// What waited for the client to take it when it was last asked for signs of life.
    private var untakenBytes = 0
    /// A password is being looked at.
    var isComparing = false
    /// Closes a connection that takes too long to begin or to end.
    var timer: Scheduled<Void>?
    /// Closes the connection of a client that must log in and doesn't.
    private var loginTimer: Scheduled<Void>?

    init(_ parts: ServerParts, peer: Peer) {
        broker = parts.broker
        limits = parts.limits
        room = parts.room
        desk = parts.desk
        logger = parts.logger
        self.peer = peer
        writeBytesMax = min(512 << 10, limits.amqp.batchBytesMax)
        session = AMQPSession(
            limits: limits.amqp, version: Broker.version, knowsClient: peer.certificateName != nil)
    }

    // MARK: what NIO says

    func handlerAdded(context: ChannelHandlerContext) {
        flow.lastRead = context.eventLoop.now
        logger.debug("connection opened", metadata: ["peer": "\(peer.name)", "protocol": "AMQP"])
        closeUnlessOpen(context)
        guard peer.mustLogIn else { return }
        loginTimer = context.eventLoop.assumeIsolated().scheduleTask(deadline: peer.loginDeadline) { [self] in
            // What comes of a login that was asked for lets it in or ends it.
            if !session.hasAskedToLogIn { context.close(promise: nil) }
        }
    }

    /// Closes the connection in time, unless the client opens it. The time in which its password is looked at is not
    /// its own.
    private func closeUnlessOpen(_ context: ChannelHandlerContext) {
        closeLater(context, in: .seconds(Int64(limits.stalledSeconds))) { handler in
            if handler.isComparing { handler.closeUnlessOpen(context) }
            return handler.isComparing || handler.session.isOpen
        }
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
        if flow.asked(toRead: mayRead(context)) { context.read() } else { hasWaited = true }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        switch event {
        case ChannelEvent.inputClosed:
            isInputClosed = true
            turn(context)
            context.close(promise: nil)
        case is DrainEvent:
            handBack()
            end(context, reason: "broker forced connection closure with reason 'shutdown'")
        default: context.fireUserInboundEventTriggered(event)
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        logger.debug("connection failed", metadata: ["peer": "\(peer.name)", "error": "\(error)"])
        context.close(promise: nil)
    }

    func channelInactive(context: ChannelHandlerContext) {
        for timer in [timer, loginTimer, bodyTimer] { timer?.cancel() }
        heartbeats?.cancel()
        closeDoors()
        leaveRoom()
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
            takeSteps(context)
            session.takeNotes { doors[$0]?.note($1) }
            flush(context)
        } while flow.isTurnWanted
        if session.isFinished { return close(context) }
        if session.isClosing, !isEnding {
            isEnding = true
            timer?.cancel()
            timer = nil
            closeLater(context, in: Self.closingTime, unless: { _ in false })
        }
        if flow.resume(mayRead(context), at: context.eventLoop.now) { context.read() }
    }

    /// Hands out what the broker has for this client's channels, while the client reads.
    private func takeEvents(_ context: ChannelHandlerContext) {
        var next = 0
        while next < woken.count {
            guard context.channel.isWritable else {
                flow.isStalled = true
                break
            }
            let number = woken[next]
            next += 1
            doors[number]?.drain(into: &events)
            hear(number)
            if out.readableBytes >= writeBytesMax { flush(context) }
        }
        woken.removeFirst(next)
    }

    /// Runs requests until the bytes are used up or somebody lags.
    private func takeSteps(_ context: ChannelHandlerContext) {
        while context.channel.isActive {
            guard context.channel.isWritable, !isPaused else {
                flow.isStalled = true
                return
            }
            switch session.step(into: &submissions, out: &out) {
            case .needsBytes, .blocked: return countRoom(context)
            case .submit(let number): submit(number)
            case .openChannel(let number): openDoor(number, context)
            case .closeChannel(let number):
                doors.removeValue(forKey: number)?.close()
                session.closed(number, out: &out)
            case .login(let login): logIn(login, context)
            case .openHost(let host): openHost(host, context)
            case .closeAll:
                closeDoors()
                session.closedAll(out: &out)
            }
            countRoom(context)
            if out.readableBytes >= writeBytesMax { flush(context) }
        }
    }

    private func submit(_ number: UInt16) {
        guard let door = doors[number] else { return submissions.removeAll(keepingCapacity: true) }
        door.submit(submissions, events: &events)
        submissions.removeAll(keepingCapacity: true)
        if door.shouldPause { pausedChannel = number }
        hear(number)
    }

    private func hear(_ number: UInt16) {
        guard !events.isEmpty else { return }
        session.heard(events, on: number, out: &out)
        events.removeAll(keepingCapacity: true)
    }

    private func flush(_ context: ChannelHandlerContext) {
        guard out.readableBytes > 0 else { return }
        hasWritten = true
        context.writeAndFlush(wrapOutboundOut(out), promise: nil)
        // What a handshake needs is more than a connection that does little after it.
        if out.capacity > Self.keptBytesMax || !session.isOpen { out = ByteBuffer() } else { out.clear() }
    }

    /// So much waits for the disk that nothing more should be submitted.
    private var isPaused: Bool {
        guard let pausedChannel else { return false }
        if doors[pausedChannel]?.shouldPause == true { return true }
        self.pausedChannel = nil
        return false
    }

    private func mayRead(_ context: ChannelHandlerContext) -> Bool {
        if session.isFinished || isClosing { return true }
        return session.wantsBytes && !flow.isStalled && context.channel.isWritable && !isPaused
    }

    // MARK: the broker

    private func openDoor(_ number: UInt16, _ context: ChannelHandlerContext) {
        let bound = NIOLoopBound((handler: self, context: context), eventLoop: context.eventLoop)
        let loop = context.eventLoop
        doors[number] = connection?.openSession(stopsAtRefusal: true) {
            loop.execute {
                bound.value.handler.woken.append(number)
                bound.value.handler.turn(bound.value.context)
            }
        }
        // The user may have as many as it may.
        if let refusal = doors[number]?.refusal(of: .recover) { session.end(for: refusal, out: &out) }
        doors[number]?.drain(into: &events)
        // An alarm may have ended while there was no channel to hear of it.
        if !events.contains(where: \.isBlocked) { events.append(.notice(.unblocked)) }
        hear(number)
    }

    /// What the client holds goes back free of charge: that the server stops is no fault of a message.
    private func handBack() {
        let ticket = AMQPSession.silentTicket
        for (number, door) in doors {
            door.submit([Submission(ticket, .rollBack), Submission(ticket, .recover)], events: &events)
            hear(number)
        }
    }

    /// All at once: a client may have thousands.
    private func closeDoors() {
        doors = [:]
        connection?.close()
        connection = nil
    }

    // MARK: heartbeats

    /// Says something twice in the time that the client wants to hear something in, and closes the connection of one
    /// that has said nothing in twice that time.
    func startHeartbeats(_ context: ChannelHandlerContext) {
        guard session.heartbeatSeconds > 0 else { return }
        let seconds = Int64(session.heartbeatSeconds)
        let half = TimeAmount.milliseconds(seconds * 500)
        let bound = NIOLoopBound((handler: self, context: context), eventLoop: context.eventLoop)
        heartbeats = context.eventLoop.scheduleRepeatedTask(initialDelay: half, delay: half) { _ in
            bound.value.handler.heartbeat(bound.value.context, silenceMax: .seconds(2 * seconds))
        }
    }

    private func heartbeat(_ context: ChannelHandlerContext, silenceMax: TimeAmount) {
        guard context.channel.isActive, !isClosing else { return }
        if flow.isReadPending {
            // One that is not read can't be heard. Where that is because it does not read, a little is read all the
            // same, and what it takes is a heartbeat, too.
            if context.channel.isWritable || isTaking(context) { flow.lastRead = context.eventLoop.now }
            let readsOn = !context.channel.isWritable && session.waitingBytes < Self.keptBytesMax
            if flow.resume(readsOn, at: flow.lastRead) { context.read() }
        }
        guard flow.lastRead + silenceMax > context.eventLoop.now else {
            logger.info(
                "connection closed",
                metadata: [
                    "peer": "\(peer.name)",
                    "reason": "no heartbeats in \(silenceMax.nanoseconds / 1_000_000_000) s",
                ])
            return context.close(promise: nil)
        }
        if !hasWritten {
            session.writeHeartbeat(to: &out)
            flush(context)
        }
        hasWritten = false
    }

    /// True where the client has taken something of what waits for it since this was last asked.
    private func isTaking(_ context: ChannelHandlerContext) -> Bool {
        let bytes = try? context.channel.syncOptions?.getOption(.bufferedWritableBytes)
        defer { untakenBytes = bytes ?? 0 }
        return (bytes ?? 0) < untakenBytes
    }

    // MARK: the end

    /// The connection is to end, for this reason: what it holds goes back at once.
    func end(_ context: ChannelHandlerContext, reason: String) {
        guard context.channel.isActive, !isClosing else { return }
        logger.info("connection is being closed", metadata: ["peer": "\(peer.name)", "reason": "\(reason)"])
        session.end(reason: reason, out: &out)
        turn(context)
    }

    private func closeLater(
        _ context: ChannelHandlerContext, in time: TimeAmount, unless isFine: @escaping (AMQPHandler) -> Bool
    ) {
        guard timer == nil else { return }
        timer = context.eventLoop.assumeIsolated().scheduleTask(in: time) { [self] in
            timer = nil
            if !isFine(self) { context.close(promise: nil) }
        }
    }

    /// Closes once everything written has left. The client's bytes are read and dropped until it has closed, too, for a
    /// while at most: a socket closed on unread bytes may lose what was said last.
    private func close(_ context: ChannelHandlerContext) {
        isClosing = true
        if let violation = session.violation {
            logger.info("connection closed", metadata: ["peer": "\(peer.name)", "reason": "\(violation)"])
        }
        heartbeats?.cancel()
        timer?.cancel()
        timer = nil
        closeLater(context, in: Self.closingTime, unless: { _ in false })
        let written = context.eventLoop.makePromise(of: Void.self)
        context.writeAndFlush(wrapOutboundOut(ByteBuffer()), promise: written)
        written.futureResult.assumeIsolated().whenComplete { [self] _ in
            if isInputClosed { return context.close(promise: nil) }
            // Else some clients would take the end of the bytes for a failure, while they close what they closed.
            if !session.isLeftToClient { context.close(mode: .output, promise: nil) }
            if flow.resume(true, at: flow.lastRead) { context.read() }
        }
    }
}

extension SessionEvent {
    /// Publishes are taken no more.
    fileprivate var isBlocked: Bool { if case .notice(.blocked) = self { true } else { false } }
}
