// One AMQP 0-9-1 connection as a pure machine: bytes in, requests out; the broker's events in, bytes out. It opens no
// socket and asks no clock: LeveretServer drives it, step by step, and opens and closes the broker's sessions, of which
// every channel has one.

public import LeveretCore
public import NIOCore

/// The talk with one client that speaks AMQP 0-9-1 as RabbitMQ does.
public struct AMQPSession: Sendable {
    /// What is to be done next. Each is handed out once.
    public enum Step: Sendable, Equatable {
        /// Nothing until more bytes come.
        case needsBytes
        /// Nothing until the broker has answered, or the talk is over.
        case blocked
        /// Submit the requests for this channel, and pass on what the broker says at once.
        case submit(UInt16)
        /// Open a session for this channel.
        case openChannel(UInt16)
        /// Close this channel's session, then call `closed`.
        case closeChannel(UInt16)
        /// Find out whether this user may log in, then call `loggedIn` or `refusedLogin`.
        case login(AMQPLogin)
        /// Find out whether the user may use this virtual host, then call `opened`.
        case openHost(String)
        /// Close the sessions of all channels, and delete what is exclusive to the connection; then call `closedAll`.
        case closeAll
    }

    enum State: Sendable {
        /// The protocol header is due.
        case greeting
        /// connection.start is out; start-ok is due.
        case starting
        /// Whether the client may log in is being found out.
        case loggingIn
        /// connection.tune is out; tune-ok is due.
        case tuning
        /// connection.open is due.
        case opening
        /// Whether the client may use the virtual host is being found out.
        case openingHost
        /// Channels are used.
        case open
        /// The client has closed the connection: it is answered once all that it acked is durable.
        case closedByClient
        /// The server has closed the connection: all but the client's answer to that is passed over.
        case closing
        /// Nothing more is said.
        case closed
    }

    /// For what the driver submits by itself: the answer to this ticket is passed over.
    public static let silentTicket = AMQPTicket.publish

    /// Of a text that the client says of itself, so much is kept.
    private static let clientCharactersMax = 200

    let version: String
    /// The client has shown before who it is: EXTERNAL is among the mechanisms.
    let knowsClient: Bool
    var state = State.greeting
    var context: AMQPContext
    var writer: AMQPWriter
    var channels = AMQPChannelTable()
    var decoder: AMQPFrameDecoder
    var memo = AMQPPublishMemo()
    /// Steps that are due behind the requests that are being gathered.
    var pending = CircularBuffer<Step>(initialCapacity: 0)
    /// Requests that followed from answers.
    var followUps = CircularBuffer<(channel: UInt16, submission: Submission)>(initialCapacity: 0)
    /// Channels that may go on with what waited.
    var ready = CircularBuffer<UInt16>(initialCapacity: 0)
    /// Channels on which something has happened since their notes were taken.
    private var changed: [UInt16] = []
    /// What waits in channels, in bytes.
    var heldBytes = 0
    var channelsMax: UInt16

    /// Octets of bodies that have come in part, over all channels.
    public internal(set) var receivingBytes = 0
    /// What the open transactions weigh, over all channels.
    public private(set) var transactionBytes = 0
    /// What the client said of itself in connection.start-ok.
    public internal(set) var clientProperties = FieldTable()
    /// Seconds between heartbeats that the client wants; 0 is none.
    public internal(set) var heartbeatSeconds: UInt16 = 0
    /// Why the server has closed the connection, if it has.
    public internal(set) var violation: String?

    /// A session at the beginning of a connection; `version` is Leveret's.
    ///
    /// - Parameter knowsClient: a certificate of the client, which was verified, says who it is: it may log in by
    ///   EXTERNAL.
    public init(limits: AMQPLimits = AMQPLimits(), version: String, knowsClient: Bool = false) {
        self.version = version
        self.knowsClient = knowsClient
        context = AMQPContext(limits: limits)
        writer = AMQPWriter(frameBytesMax: limits.frameBytesMax)
        decoder = AMQPFrameDecoder(
            frameBytesMax: min(limits.frameBytesMax, AMQPLimits.handshakeFrameBytesMax))
        channelsMax = limits.channelsMax
    }

    /// The login name, once the client is logged in.
    public var user: String { context.user }
    /// The name that the client gave its connection, if it gave one.
    public var clientName: String? { clientText("connection_name") }

    /// What listings show of the client, who comes from `peer`.
    public func client(from peer: String) -> ClientDescription {
        var client = ClientDescription(protocolName: "AMQP 0-9-1", peer: peer)
        client.name = clientName
        client.product = clientText("product")
        client.version = clientText("version")
        client.platform = clientText("platform")
        return client
    }

    private func clientText(_ name: String) -> String? {
        guard case .string(let text)? = clientProperties[name] else { return nil }
        return String(text.prefix(Self.clientCharactersMax))
    }

    /// Tells what listings show of the channels on which something has happened since this was last asked.
    public mutating func takeNotes(_ tell: (_ channel: UInt16, SessionNotes) -> Void) {
        for number in changed {
            guard let place = channels.place(of: number) else { continue }
            channels[place].isChanged = false
            tell(number, channels[place].notes)
        }
        changed.removeAll(keepingCapacity: true)
    }

    /// The talk is over: close once everything written has left.
    public var isFinished: Bool { if case .closed = state { true } else { false } }
    /// The client has closed the connection and been answered: it closes its socket, too.
    public private(set) var isLeftToClient = false
    /// The server has closed the connection and waits for the client's word, for a while.
    public var isClosing: Bool { if case .closing = state { true } else { false } }
    /// The client has said who it is; whether it may log in may still have to be found out.
    public var hasAskedToLogIn: Bool {
        switch state {
        case .greeting, .starting: false
        case .loggingIn, .tuning, .opening, .openingHost, .open, .closedByClient, .closing, .closed: true
        }
    }
    /// The connection is there for use; before that a client must not take its time.
    public var isOpen: Bool {
        switch state {
        case .open, .closedByClient, .closing, .closed: true
        case .greeting, .starting, .loggingIn, .tuning, .opening, .openingHost: false
        }
    }
    /// False while so much waits that nothing more should be read, or an answer that decides what comes next.
    public var wantsBytes: Bool {
        switch state {
        case .closedByClient, .loggingIn, .openingHost: false
        case .closing, .closed: true
        // In an alarm a body waits once it is whole, so it is not received if that would be too much.
        default: heldBytes + (context.isBlocked ? comingBytes : 0) < context.limits.heldBytesMax
        }
    }

    /// Octets of the bodies of which not all has come, over all channels: what has come of them and what is due.
    private var comingBytes: Int { channels.all.indices.reduce(0) { $0 + channels[$1].content.size } }

    /// Bytes that have come and that `step` has made nothing of.
    public var waitingBytes: Int { decoder.waitingBytes }

    /// Takes bytes from the socket; `step` makes something of them.
    public mutating func received(_ bytes: ByteBuffer) { if !isFinished { decoder.received(bytes) } }

    /// Writes a heartbeat.
    public func writeHeartbeat(to out: inout ByteBuffer) { AMQPWriter.heartbeat(to: &out) }

    /// Goes on by one step. What it is to submit is appended to `submissions`, which are empty before.
    public mutating func step(into submissions: inout [Submission], out: inout ByteBuffer) -> Step {
        if let step = pending.popFirst() { return step }
        if let (channel, submission) = followUps.popFirst() {
            submissions.append(submission)
            return .submit(channel)
        }
        while let number = ready.popFirst() {
            on(number, out: &out) { channel, context, _, out throws(AMQPFailure) in
                try channel.goOn(context, into: &submissions, out: &out)
            }
            noteReady(number)
            if !submissions.isEmpty { return .submit(number) }
            if let step = pending.popFirst() { return step }
        }
        closeIfSettled()
        if let step = pending.popFirst() { return step }
        return decode(into: &submissions, out: &out)
    }

    /// Writes what the broker says to a channel.
    public mutating func heard(_ events: [SessionEvent], on number: UInt16, out: inout ByteBuffer) {
        for case .notice(let notice) in events { self.notice(notice, out: &out) }
        guard let place = channels.place(of: number), channels[place].standing != .closing,
            !channels[place].isClosedByClient
        else { return }
        var submissions: [Submission] = []
        on(number, out: &out) { channel, context, writer, out throws(AMQPFailure) in
            try channel.heard(events, context, &writer, into: &submissions, out: &out)
        }
        for submission in submissions { followUps.append((number, submission)) }
        noteReady(number)
    }

    /// A channel that may go on with what waited is to do so.
    private mutating func noteReady(_ number: UInt16) {
        guard let place = channels.place(of: number) else { return }
        if channels[place].canGoOn(context) { ready.append(number) }
    }

    /// The session of a channel is closed.
    public mutating func closed(_ number: UInt16, out: inout ByteBuffer) {
        guard let place = channels.place(of: number), channels[place].isClosedByClient else { return }
        forget(number)
        AMQPWriter.method(.channelCloseOk, on: number, to: &out)
    }

    /// The sessions of all channels are closed.
    public mutating func closedAll(out: inout ByteBuffer) {
        guard case .closedByClient = state else { return }
        AMQPWriter.method(.connectionCloseOk, on: 0, to: &out)
        finish()
        isLeftToClient = true
    }

    /// The server ends the connection, for this reason.
    public mutating func end(reason: String, out: inout ByteBuffer) { fail(.forced(reason), out: &out) }

    /// The server has no room for what the connection holds.
    public mutating func end(for error: BrokerError, out: inout ByteBuffer) {
        fail(AMQPFailure(error.code, error.text), out: &out)
    }

    // MARK: failing

    /// Runs `body` with a channel; what it throws closes that or the connection.
    mutating func on(
        _ number: UInt16, out: inout ByteBuffer,
        _ body: (inout AMQPChannel, AMQPContext, inout AMQPWriter, inout ByteBuffer) throws(AMQPFailure) ->
            Void
    ) {
        guard let place = channels.place(of: number) else { return }
        noteChange(at: place)
        let before = (held: channels[place].deferredBytes, open: channels[place].transactionBytes)
        do throws(AMQPFailure) {
            try body(&channels[place], context, &writer, &out)
            heldBytes += channels[place].deferredBytes - before.held
            transactionBytes += channels[place].transactionBytes - before.open
            if channels[place].isClosedByClient { pending.append(.closeChannel(number)) }
        } catch {
            heldBytes += channels[place].deferredBytes - before.held
            transactionBytes += channels[place].transactionBytes - before.open
            fail(error, on: number, out: &out)
        }
    }

    /// Something has happened on a channel.
    mutating func noteChange(at place: Int) {
        guard !channels[place].isChanged else { return }
        channels[place].isChanged = true
        changed.append(channels[place].number)
    }

    /// Closes a channel, or the connection, as the failure has it.
    mutating func fail(_ failure: AMQPFailure, on number: UInt16, out: inout ByteBuffer) {
        guard failure.scope == .channel, number > 0, let place = channels.place(of: number) else {
            return fail(failure, out: &out)
        }
        heldBytes -= channels[place].deferredBytes
        receivingBytes -= channels[place].content.heldBytes
        transactionBytes -= channels[place].transactionBytes
        channels[place].beginClosing()
        AMQPWriter.close(.channelClose, on: number, failure, to: &out)
        pending.append(.closeChannel(number))
    }

    /// Closes the connection.
    mutating func fail(_ failure: AMQPFailure, out: inout ByteBuffer) {
        switch state {
        case .closing: return finish()
        case .closed: return
        case .greeting: finish()
        default:
            AMQPWriter.close(.connectionClose, on: 0, failure, to: &out)
            dropChannels()
            state = .closing
        }
        violation = failure.text
        pending.append(.closeAll)
    }

    /// Nothing more is said or taken.
    mutating func finish() {
        dropChannels()
        decoder.end()
        state = .closed
    }

    private mutating func dropChannels() {
        channels.removeAll()
        heldBytes = 0
        receivingBytes = 0
        transactionBytes = 0
        pending.removeAll()
        followUps.removeAll()
        ready.removeAll()
    }

    /// Takes a channel away; its number is free.
    mutating func forget(_ number: UInt16) {
        guard let channel = channels.remove(number) else { return }
        heldBytes -= channel.deferredBytes
        receivingBytes -= channel.content.heldBytes
        transactionBytes -= channel.transactionBytes
    }

    /// Publishes are taken no more, or again.
    private mutating func notice(_ notice: Notice, out: inout ByteBuffer) {
        switch notice {
        case .blocked(let text):
            guard !context.isBlocked else { return }
            context.isBlocked = true
            if hasCapability("connection.blocked") {
                AMQPWriter.method(.connectionBlocked, on: 0, to: &out) { $0.write(shortString: text) }
            }
        case .unblocked:
            guard context.isBlocked else { return }
            context.isBlocked = false
            if hasCapability("connection.blocked") {
                AMQPWriter.method(.connectionUnblocked, on: 0, to: &out)
            }
            for channel in channels.all { ready.append(channel.number) }
        case .draining: break
        }
    }

    /// True where the client said in start-ok that it can do this.
    func hasCapability(_ name: String) -> Bool {
        guard case .table(let capabilities)? = clientProperties["capabilities"] else { return false }
        return capabilities[name] == .bool(true)
    }
}
