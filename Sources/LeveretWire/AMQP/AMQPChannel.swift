// One channel: it runs what the client sends, one request after the other, and keeps what must wait for an answer.
// AMQPSession owns its channels; what the broker says to one is in AMQPChannel+Answers.swift.
//
// A channel that waits for an answer runs nothing meanwhile, so answers leave in the order of the requests and a
// request sees what the one before it did. Publishes and acks are answered without being waited for.

import LeveretCore
import NIOCore

/// What a channel knows of its connection.
struct AMQPContext: Sendable {
    var limits: AMQPLimits
    /// The login name.
    var user = ""
    /// The virtual host.
    var host = "/"
    /// The client wants basic.cancel for consumers that end.
    var hearsOfCancels = false
    /// Publishes are not taken now.
    var isBlocked = false
}

/// What has come for a channel and is run as one.
enum AMQPInput: Sendable {
    case method(AMQPMethodID, AMQPMethod)
    case publish(AMQPPublish)

    /// What it weighs while it waits.
    var bytes: Int {
        switch self {
        case .publish(let publish): publish.message.footprint
        case .method(_, let method): 256 + (method.arguments?.weight ?? 0)
        }
    }

    /// It is asked once the acks before it are durable, as its answer comes behind that and deliveries behind its
    /// answer, or nothing at all.
    var waitsForAcks: Bool {
        switch self {
        case .method(.basicConsume, _), .method(.basicGet, _), .method(.channelClose, _): true
        default: false
        }
    }
}

/// One channel of a connection.
struct AMQPChannel: Sendable {
    /// What becomes of publishes and acks.
    enum Mode: Sendable {
        /// They are done at once, and nothing is said.
        case plain
        /// Publishes are numbered and acked.
        case confirming
        /// They are done at tx.commit.
        case transactional(AMQPTransaction)
    }

    /// A request whose answer is due.
    struct Waiting: Sendable {
        /// The method that asked.
        var method: AMQPMethodID
        /// How it is answered.
        var reply: AMQPReply
        /// The client wants no answer.
        var isSilent = false
        /// What the broker was asked, for the words of a refusal.
        var request: Request?
        /// Came while acks were not answered yet: it is told behind them.
        var answer: Answer?
    }

    let number: UInt16
    /// Something has happened since its notes were taken.
    var isChanged = false
    var content = AMQPContent.none
    var mode = Mode.plain
    var confirms = AMQPConfirms()
    var waiting: Waiting?
    /// Acks that are not answered yet; what they did is not durable.
    var settling = 0
    /// What came while the channel waited.
    var deferred = CircularBuffer<AMQPInput>(initialCapacity: 0)
    /// What that weighs.
    var deferredBytes = 0
    /// Consumers that ended by a deletion which is to be answered first.
    var ended: [ConsumerTag] = []
    /// The server has closed it: everything but the client's answer to that is passed over.
    var isClosing = false
    /// The client has closed it.
    var isClosedByClient = false
    /// What an empty queue name stands for.
    var lastQueue: String?
    /// For consumers made from here on; 0 is without limit.
    var prefetch = 0
    /// Where replies come in by RabbitMQ's direct reply-to, while the client consumes them.
    var replyQueue: QueueName?
    /// The consumer of these replies.
    var replyTag: ConsumerTag?

    /// What may come next.
    enum Standing {
        /// A method.
        case betweenMethods
        /// The content of a publish.
        case withinPublish
        /// Nothing that counts.
        case closing
    }

    init(number: UInt16) { self.number = number }

    /// What the open transaction weighs.
    var transactionBytes: Int {
        if case .transactional(let transaction) = mode { transaction.bytes } else { 0 }
    }

    /// What listings show of it.
    var notes: SessionNotes {
        var notes = SessionNotes(channel: Int(number))
        switch mode {
        case .plain: break
        case .confirming: notes.mode = .confirm
        case .transactional(let transaction):
            notes.mode = .transaction
            notes.uncommitted = transaction.count
        }
        notes.prefetch = prefetch
        notes.unconfirmed = confirms.unconfirmed
        notes.isHeldUp = !deferred.isEmpty
        return notes
    }

    var standing: Standing {
        if isClosing { return .closing }
        return if case .none = content { .betweenMethods } else { .withinPublish }
    }

    /// Nothing runs until an answer comes, or, for what brings messages, until the alarm is over.
    private func mustWait(_ input: AMQPInput, _ context: AMQPContext) -> Bool {
        if waiting != nil { return true }
        if !deferred.isEmpty {
            // Behind parked publishes, what frees messages goes on.
            return !context.isBlocked || !frees(input) || deferred.contains { !brings($0) }
        }
        if context.isBlocked, brings(input) { return true }
        return settling > 0 && input.waitsForAcks
    }

    /// It brings messages, which are not taken in an alarm.
    private func brings(_ input: AMQPInput) -> Bool {
        switch (input, mode) {
        case (.publish, _): true
        case (.method(.txCommit, _), .transactional(let transaction)): !transaction.publishes.isEmpty
        case (.method, _): false
        }
    }

    /// It frees messages, and stands in no transaction.
    private func frees(_ input: AMQPInput) -> Bool {
        switch (input, mode) {
        case (_, .transactional): false
        case (.method(.basicAck, _), _), (.method(.basicNack, _), _), (.method(.basicReject, _), _): true
        default: false
        }
    }

    /// Takes what the client sent, and runs it unless it has to wait.
    mutating func take(
        _ input: AMQPInput, _ context: AMQPContext, into submissions: inout [Submission],
        out: inout ByteBuffer
    ) throws(AMQPFailure) {
        guard !mustWait(input, context) else {
            deferred.append(input)
            deferredBytes += input.bytes
            return
        }
        try run(input, context, into: &submissions, out: &out)
    }

    /// There is something that waited and may be run now.
    func canGoOn(_ context: AMQPContext) -> Bool { nextPlace(context) != nil }

    /// Where that stands: in front, or, in an alarm, behind what brings messages if it frees some.
    private func nextPlace(_ context: AMQPContext) -> CircularBuffer<AMQPInput>.Index? {
        guard waiting == nil, !isClosing, !isClosedByClient else { return nil }
        let first = deferred.firstIndex { !context.isBlocked || !brings($0) }
        guard let place = first, place == deferred.startIndex || frees(deferred[place]) else { return nil }
        return settling > 0 && deferred[place].waitsForAcks ? nil : place
    }

    /// Runs what waited.
    mutating func goOn(
        _ context: AMQPContext, into submissions: inout [Submission], out: inout ByteBuffer
    ) throws(AMQPFailure) {
        while submissions.count < context.limits.batchCountMax, let place = nextPlace(context) {
            // What is not submitted yet comes before the answer to a method behind it.
            if !submissions.isEmpty, case .method(let id, _) = deferred[place], !id.isBatched { return }
            let input = deferred.remove(at: place)
            deferredBytes -= input.bytes
            try run(input, context, into: &submissions, out: &out)
        }
    }

    /// Forgets everything but that it is closing.
    mutating func beginClosing() {
        let number = number
        self = AMQPChannel(number: number)
        isClosing = true
    }

    // MARK: running

    private mutating func run(
        _ input: AMQPInput, _ context: AMQPContext, into submissions: inout [Submission],
        out: inout ByteBuffer
    ) throws(AMQPFailure) {
        switch input {
        case .publish(let publish): try run(publish, context, into: &submissions)
        case .method(let id, let method):
            switch id.rawValue >> 16 {
            case 20: try runOwn(id, method, out: &out)
            case 40: try runExchange(id, method, context, into: &submissions)
            case 50: try runQueue(id, method, context, into: &submissions, out: &out)
            case 60: try runBasic(id, method, context, into: &submissions, out: &out)
            default: try runMode(id, method, into: &submissions, out: &out)
            }
        }
    }

    private mutating func run(
        _ publish: AMQPPublish, _ context: AMQPContext, into submissions: inout [Submission]
    ) throws(AMQPFailure) {
        var publish = publish
        if let fault = publish.fault { throw fault }
        if publish.wantsReply { publish.message = try withReplyAddress(publish.message) }
        switch mode {
        case .plain:
            submissions.append(
                Submission(AMQPTicket.publish, .publish(publish.message, mandatory: publish.isMandatory)))
        case .confirming:
            submissions.append(
                Submission(
                    AMQPTicket.publish(confirms.take()),
                    .publish(publish.message, mandatory: publish.isMandatory)))
        case .transactional(var transaction):
            mode = .plain
            try transaction.add(publish, context.limits)
            mode = .transactional(transaction)
        }
    }

    private func withReplyAddress(_ message: Message) throws(AMQPFailure) -> Message {
        guard let replyQueue, var properties = message.properties else {
            throw AMQPFailure(.preconditionFailed, "fast reply consumer does not exist", .basicPublish)
        }
        properties.replyTo = replyQueue.rawValue
        return Message(
            exchange: message.exchange, routingKey: message.routingKey, properties: properties,
            isPersistent: message.isPersistent, body: message.body)
    }

    private mutating func runOwn(
        _ id: AMQPMethodID, _ method: AMQPMethod, out: inout ByteBuffer
    ) throws(AMQPFailure) {
        switch method {
        case .channelFlow(let isActive):
            guard isActive else { throw AMQPFailure(.notImplemented, "active=false", id) }
            answerOwn(id, .flow, out: &out)
        case .channelFlowOk, .channelCloseOk: break
        case .channelClose: isClosedByClient = true
        default: throw .channelError("second 'channel.open' seen", id)
        }
    }

    private mutating func runMode(
        _ id: AMQPMethodID, _ method: AMQPMethod, into submissions: inout [Submission], out: inout ByteBuffer
    ) throws(AMQPFailure) {
        switch (method, mode) {
        case (.confirmSelect, .transactional):
            throw AMQPFailure(.preconditionFailed, "cannot switch from tx to confirm mode", id)
        case (.confirmSelect(let isSilent), _):
            mode = .confirming
            answerOwn(id, .plain(.confirmSelectOk), isSilent: isSilent, out: &out)
        case (.txSelect, .confirming):
            throw AMQPFailure(.preconditionFailed, "cannot switch from confirm to tx mode", id)
        case (.txSelect, .plain):
            mode = .transactional(AMQPTransaction())
            answerOwn(id, .plain(.txSelectOk), out: &out)
        case (.txSelect, .transactional): answerOwn(id, .plain(.txSelectOk), out: &out)
        case (.txRollback, .transactional):
            mode = .transactional(AMQPTransaction())
            ask(.rollBack, id, .plain(.txRollbackOk), into: &submissions)
        case (.txCommit, .transactional(let transaction)):
            mode = .transactional(AMQPTransaction())
            guard transaction.count > 0 else { return answerOwn(id, .plain(.txCommitOk), out: &out) }
            ask(
                .transaction(transaction.publishes), id, .committed(transaction.mandatory), into: &submissions
            )
        default: throw AMQPFailure(.preconditionFailed, "channel is not transactional", id)
        }
    }

    // MARK: asking

    /// Asks the broker, and waits for the answer.
    mutating func ask(
        _ request: Request, _ method: AMQPMethodID, _ reply: AMQPReply, isSilent: Bool = false,
        into submissions: inout [Submission]
    ) {
        var waiting = Waiting(method: method, reply: reply, isSilent: isSilent)
        // A transaction's requests would be held twice.
        if case .transaction = request {} else { waiting.request = request }
        self.waiting = waiting
        submissions.append(Submission(AMQPTicket.asked, request))
    }

    /// Answers what the broker need not be asked, in its turn.
    mutating func answerOwn(
        _ method: AMQPMethodID, _ reply: AMQPReply, isSilent: Bool = false, out: inout ByteBuffer
    ) {
        guard settling == 0 else {
            waiting = Waiting(method: method, reply: reply, isSilent: isSilent, answer: .done)
            return
        }
        if !isSilent { reply.write(.done, on: number, to: &out) }
    }
}

/// Tickets of a channel's requests: what the answer is to.
enum AMQPTicket {
    private static let settleBit: UInt64 = 1 << 63
    private static let askedBit: UInt64 = 1 << 62

    /// A request whose answer the channel waits for.
    static let asked = Ticket(askedBit)
    /// A publish that is not confirmed.
    static let publish = Ticket(0)
    /// A publish that is confirmed under this number.
    static func publish(_ number: UInt64) -> Ticket { Ticket(number) }
    /// What settles deliveries.
    static func settle(_ method: AMQPMethodID) -> Ticket { Ticket(settleBit | UInt64(method.rawValue)) }

    /// What a ticket is for.
    enum Meaning {
        case publish(UInt64)
        case settle(AMQPMethodID)
        case asked
    }

    /// Reads a ticket.
    static func meaning(of ticket: Ticket) -> Meaning {
        let value = ticket.rawValue
        if value & settleBit != 0 {
            return .settle(AMQPMethodID(rawValue: UInt32(truncatingIfNeeded: value)) ?? .basicAck)
        }
        return value & askedBit != 0 ? .asked : .publish(value)
    }
}

/// What stands between tx.select and tx.commit.
struct AMQPTransaction: Sendable {
    private(set) var publishes: [Request] = []
    /// The mandatory messages, by the place of their publish.
    private(set) var mandatory: [Int: Message] = [:]
    /// Publishes and settlements; the broker has the latter.
    private(set) var count = 0
    /// What they weigh.
    private(set) var bytes = 0

    /// Adds a publish. One that is mandatory and reaches no queue is returned, and the rest is committed.
    mutating func add(_ publish: AMQPPublish, _ limits: AMQPLimits) throws(AMQPFailure) {
        try add(bytes: publish.message.footprint, .basicPublish, limits)
        if publish.isMandatory { mandatory[publishes.count] = publish.message }
        publishes.append(.publish(publish.message, mandatory: false))
    }

    /// Adds a settlement.
    mutating func addSettlement(_ method: AMQPMethodID, _ limits: AMQPLimits) throws(AMQPFailure) {
        try add(bytes: 160, method, limits)
    }

    private mutating func add(
        bytes: Int, _ method: AMQPMethodID, _ limits: AMQPLimits
    ) throws(AMQPFailure) {
        count += 1
        self.bytes += bytes
        guard count <= limits.transactionCountMax, self.bytes <= limits.transactionBytesMax else {
            throw AMQPFailure(
                .preconditionFailed,
                "a transaction of over \(limits.transactionCountMax) requests or \(limits.transactionBytesMax) "
                    + "bytes; commit in smaller parts", method)
        }
    }
}

/// RabbitMQ's direct reply-to: a queue of the client's own stands behind a name that all clients use.
enum AMQPDirectReply {
    /// What clients consume, and publish as reply_to.
    static let queue = "amq.rabbitmq.reply-to"
}
