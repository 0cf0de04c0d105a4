// One connection of the line protocol as a pure machine: bytes in, submissions out; the broker's events in,
// bytes out. It keeps replies in order, knows the tags, and says when to read and when to close. It opens no
// socket and asks no clock: LeveretServer drives it.

public import LeveretCore
public import NIOCore

/// The talk with one client. Replies to untagged requests leave in the order of the requests, those to tagged
/// ones as they come; pushes leave between replies and never inside one.
public struct LineSession: Sendable {
    /// Why `decode` stopped.
    public enum Progress: Sendable, Hashable {
        /// All bytes are used up, or what is left is no whole request.
        case needsBytes
        /// Enough for one batch: submit it, send what was written, then call again.
        case batchFull
        /// Too many replies are owed, the talk is ending or a password is being looked at: call again when answers
        /// have been written.
        case blocked
        /// There is a `passwordRequest`: submit what came before it, then see to that.
        case password
    }

    struct Tagged: Sendable {
        var prefix: [UInt8]
        var form: LineReplyForm
    }

    /// For what the driver submits by itself: the answer to this ticket is passed over.
    public static let silentTicket = Ticket(taggedBit)

    /// Tickets of tagged requests have this bit.
    static let taggedBit: UInt64 = 1 << 63

    let limits: LineLimits
    private let version: String
    var decoder: LineDecoder
    var writer = LineWriter()
    var replies = LineReplies()
    /// Forms of untagged requests whose reply isn't plain.
    var forms: [UInt64: LineReplyForm] = [:]
    var tagged: [UInt64: Tagged] = [:]
    private var taggedNext = Self.taggedBit
    var listingsWaiting = 0
    /// Listings that may have more than a page: what was asked last, and how many rows were written.
    var paged: [UInt64: (request: Request, form: LineReplyForm, rows: Int)] = [:]
    /// Requests for next pages, which go before all else.
    var nextPages: [Submission] = []
    /// Tickets of the GETs that may wait.
    var waiting: [UInt64: QueueName] = [:]
    /// Prefixes of the pushes of subscriptions made by tagged requests.
    var prefixes: [ConsumerTag: [UInt8]] = [:]
    /// Set between BEGIN and COMMIT or ROLLBACK.
    private var transaction: LineTransaction?
    private var isEnding = false
    /// What everything but a login is refused with; `nil` once the client may ask.
    var loginRefusal: BrokerError?

    /// A password that is to be compared or hashed, which takes long and is for another thread. Nothing more is decoded
    /// until one of `loggedIn`, `passwordRefused` and `passwordHashed` says what came of it.
    public internal(set) var passwordRequest: PasswordRequest?
    /// The name that the client gave itself with HELLO.
    public private(set) var clientName: String?
    /// A request was understood or refused: this is a client, not a port scan.
    public private(set) var hasSpoken = false
    /// The error for which the talk is ending, if it ends for one.
    public private(set) var violation: BrokerError?

    /// A session at the beginning of a connection.
    ///
    /// - Parameters:
    ///   - version: What HELLO shows.
    ///   - loginRefusal: What everything but HELLO, AUTH, PING, HELP and QUIT is refused with until the client has
    ///     logged in; `nil` where it need not.
    public init(limits: LineLimits = LineLimits(), version: String, loginRefusal: BrokerError? = nil) {
        self.limits = limits
        self.version = version
        self.loginRefusal = loginRefusal
        decoder = LineDecoder(limits: limits)
        if let loginRefusal { decoder.refuseBodies(with: loginRefusal, limits: limits) }
    }

    /// True in the middle of a request: silence now is a client that hangs.
    public var isInsideRequest: Bool { !isEnding && decoder.isInsideRequest && wantsBytes }
    /// How many bytes the request takes that is being received; 0 between requests.
    public var awaitedBytes: Int { isEnding ? 0 : decoder.awaitedBytes }
    /// How many bytes of it have come.
    public var arrivedBytes: Int { decoder.waitingBytes }
    /// Requests that were read to their end.
    public var requestsRead: UInt64 { decoder.requestsRead }
    /// What the open transaction weighs.
    public var transactionBytes: Int { transaction?.bytes ?? 0 }
    /// Replies that are owed.
    public var owedReplies: Int { replies.count + tagged.count }
    /// The talk is over and every reply is written: close once they are flushed.
    public var isFinished: Bool { isEnding && owedReplies == 0 }
    /// False while so many replies are owed that nothing more should be read.
    public var wantsBytes: Bool {
        isEnding
            || (passwordRequest == nil && replies.count < limits.untaggedWaitingMax
                && tagged.count < limits.taggedWaitingMax
                && listingsWaiting < limits.listingsWaitingMax
                && replies.heldBytes < limits.heldReplyBytesMax)
    }

    /// A listing goes on: call `decode` again, whatever it said.
    public var hasNextPage: Bool { !nextPages.isEmpty }

    /// Takes bytes from the socket; `decode` makes requests of them.
    public mutating func received(_ bytes: ByteBuffer) {
        if !isEnding { decoder.received(bytes) }
    }

    /// Turns bytes into submissions, and writes replies that need no broker.
    public mutating func decode(into submissions: inout [Submission], out: inout ByteBuffer) -> Progress {
        guard nextPages.isEmpty else {
            submissions.append(nextPages.removeFirst())
            return .batchFull
        }
        var bytes = 0
        let start = submissions.count
        while !isEnding, wantsBytes {
            guard submissions.count - start < limits.batchCountMax, bytes < limits.batchBytesMax,
                out.readableBytes < limits.batchBytesMax
            else { return .batchFull }
            guard let input = decoder.next() else { return .needsBytes }
            hasSpoken = true
            switch input {
            case .request(let tag, let command) where loginRefusal != nil && !command.isForEverybody:
                reply(to: tag, out: &out) { [loginRefusal] prefix, out in
                    if let loginRefusal { LineWriter.error(loginRefusal, prefix: prefix, to: &out) }
                }
            case .request(let tag, let command) where transaction != nil && command.isPartOfTransaction:
                bytes += transact(command, tag, into: &submissions, out: &out)
            case .request(let tag, .submit(let request, let form)):
                if case .publish(let message, _) = request { bytes += message.bulk }
                let submission = Submission(ticket(tag, form), request)
                submissions.append(submission)
                // Its rows may be many: they leave before more is asked.
                if form.isListing {
                    if case .list = request { paged[submission.ticket.rawValue] = (request, form, 0) }
                    if case .route = request { paged[submission.ticket.rawValue] = (request, form, 0) }
                    return .batchFull
                }
            case .request(let tag, .password(let command)):
                passwordRequest = PasswordRequest(ticket: ticket(tag, .plain), command: command)
                return .password
            case .request(let tag, let command):
                reply(to: tag, out: &out) { [version, limits] prefix, out in
                    Self.answer(command, prefix: prefix, version: version, limits: limits, out: &out)
                }
                run(command)
            case .refused(let tag, let error):
                _ = transaction?.refuse(error, tag: tag)
                reply(to: tag, out: &out) { prefix, out in LineWriter.error(error, prefix: prefix, to: &out) }
            case .violation(let tag, let error): end(with: error, tag: tag, out: &out)
            }
        }
        return .blocked
    }

    /// Ends the GETs that wait, each once. For where the peer will send no more: one that is gone, which looks the
    /// same, would take a message with it. It is asked of the broker, which may be handing one out now.
    public mutating func endGets(into submissions: inout [Submission]) {
        for (get, queue) in waiting {
            submissions.append(Submission(Self.silentTicket, .endGet(queue, Ticket(get))))
        }
        waiting = [:]
    }

    /// The peer will send no more, and all that it sent is used up: what it asked is still answered, then the talk is
    /// over.
    public mutating func inputEnded(out: inout ByteBuffer) {
        guard !isEnding else { return }
        if case .violation(let tag, let error) = decoder.ended() {
            end(with: error, tag: tag, out: &out)
        } else {
            takeNoMore()
        }
    }

    private mutating func takeNoMore() {
        isEnding = true
        decoder.end()
        transaction = nil
    }

    /// Lets go of the open transaction, which can't be committed any more: COMMIT says why.
    public mutating func spoilTransaction(with error: BrokerError) {
        transaction?.spoil(error)
    }

    /// Refuses to go on, in the peer's order of requests, and ends the talk.
    public mutating func end(with error: BrokerError, out: inout ByteBuffer) {
        guard !isEnding else { return }
        end(with: error, tag: [], out: &out)
    }

    /// Ends the talk once what is owed is answered: no more requests are taken, and every GET that waits is
    /// told that there is nothing.
    public mutating func drain(out: inout ByteBuffer) {
        takeNoMore()
        for ticket in waiting.keys.sorted() { answered(ticket, .empty, out: &out) }
    }

    /// Ends the talk at once: no more requests are taken, and what is owed stays unanswered.
    public mutating func kill(reason: String, out: inout ByteBuffer) {
        takeNoMore()
        LineWriter.line("NOTE killed \(LineWriter.oneLine(reason))", to: &out)
    }

    // MARK: requests

    private mutating func ticket(_ tag: [UInt8], _ form: LineReplyForm) -> Ticket {
        if form.isListing { listingsWaiting += 1 }
        let ticket = opened(tag, form)
        if case .waiting(let queue) = form { waiting[ticket.rawValue] = queue }
        return ticket
    }

    private mutating func opened(_ tag: [UInt8], _ form: LineReplyForm) -> Ticket {
        guard tag.isEmpty else {
            taggedNext += 1
            tagged[taggedNext] = Tagged(prefix: Self.prefix(tag), form: form)
            return Ticket(taggedNext)
        }
        let slot = replies.opened()
        if form != .plain { forms[slot] = form }
        return Ticket(slot)
    }

    private static func prefix(_ tag: [UInt8]) -> [UInt8] { tag.isEmpty ? [] : [.hash] + tag + [.space] }

    /// Replies without the broker, in turn.
    private mutating func reply(
        to tag: [UInt8],
        out: inout ByteBuffer,
        write: ([UInt8], inout ByteBuffer) -> Void
    ) {
        if !tag.isEmpty || replies.isEmpty {
            write(Self.prefix(tag), &out)
        } else {
            var buffer = ByteBuffer()
            write([], &buffer)
            replies.keep(Array(buffer.readableBytesView), in: replies.opened())
        }
    }

    private mutating func run(_ command: LineCommand) {
        switch command {
        case .hello(let name): if let name { clientName = name }
        case .quit: takeNoMore()
        case .begin: transaction = LineTransaction()
        case .ping, .help, .commit, .rollback, .submit, .password: break
        }
    }

    private static func answer(
        _ command: LineCommand,
        prefix: [UInt8],
        version: String,
        limits: LineLimits,
        out: inout ByteBuffer
    ) {
        switch command {
        case .hello:
            let sizes = "max-line=\(limits.lineBytesMax) max-body=\(limits.bodyBytesMax)"
            LineWriter.line("OK leveret 1 version=\(version) \(sizes)", prefix: prefix, to: &out)
        case .help(let verb): help(verb, prefix: prefix, out: &out)
        case .ping, .quit, .begin, .submit, .password: LineWriter.line("OK", prefix: prefix, to: &out)
        case .commit, .rollback:
            let error = BrokerError(.commandInvalid, "no transaction is open; BEGIN opens one")
            LineWriter.error(error, prefix: prefix, to: &out)
        }
    }

    private static func help(_ verb: String?, prefix: [UInt8], out: inout ByteBuffer) {
        let verbs: [LineVerb]
        if let verb {
            guard let known = LineVerb(rawValue: verb) else {
                let error = BrokerError(.commandInvalid, "there is no verb '\(verb)'; HELP alone lists them")
                return LineWriter.error(error, prefix: prefix, to: &out)
            }
            verbs = [known]
        } else {
            verbs = LineVerb.allCases
        }
        for verb in verbs { LineWriter.line("TEXT \(verb.syntax)", prefix: prefix, to: &out) }
        LineWriter.count(verbs.count, prefix: prefix, to: &out)
    }

    /// Handles a request of an open transaction. Returns the bytes that were submitted.
    private mutating func transact(
        _ command: LineCommand, _ tag: [UInt8], into submissions: inout [Submission], out: inout ByteBuffer
    ) -> Int {
        func say(_ error: BrokerError?, _ text: String) {
            reply(to: tag, out: &out) { prefix, out in
                if let error { return LineWriter.error(error, prefix: prefix, to: &out) }
                LineWriter.line(text, prefix: prefix, to: &out)
            }
        }
        switch command {
        case .submit(let request, _):
            say(transaction?.add(request, tag: tag, limits: limits), "OK queued")
        case .commit:
            guard let done = transaction.take() else { return 0 }
            guard done.refusal == nil, !done.requests.isEmpty else {
                say(done.refusal, "OK 0")
                return 0
            }
            submissions.append(
                Submission(ticket(tag, .transaction(tags: done.tags)), .transaction(done.requests)))
            return done.bytes
        case .rollback:
            transaction = nil
            say(nil, "OK")
        case .begin:
            let error = BrokerError(
                .commandInvalid, "a transaction is open already; COMMIT or ROLLBACK it first")
            say(transaction?.refuse(error, tag: tag), "OK")
        case .password:
            let error = BrokerError(
                .commandInvalid, "passwords have no place in a transaction; COMMIT or ROLLBACK it first")
            say(transaction?.refuse(error, tag: tag), "OK")
        case .hello, .ping, .help, .quit: break
        }
        return 0
    }

    private mutating func end(with error: BrokerError, tag: [UInt8], out: inout ByteBuffer) {
        reply(to: tag, out: &out) { prefix, out in LineWriter.error(error, prefix: prefix, to: &out) }
        violation = error
        takeNoMore()
    }
}
