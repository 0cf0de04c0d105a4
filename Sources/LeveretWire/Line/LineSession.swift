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
        /// Too many replies are owed, or the talk is ending: call again when answers have been written.
        case blocked
    }

    private struct Tagged: Sendable {
        var prefix: [UInt8]
        var form: LineReplyForm
    }

    /// For what the driver submits by itself: the answer to this ticket is passed over.
    public static let silentTicket = Ticket(taggedBit)

    /// Tickets of tagged requests have this bit.
    private static let taggedBit: UInt64 = 1 << 63

    private let limits: LineLimits
    private let version: String
    private var decoder: LineDecoder
    private var writer = LineWriter()
    private var replies = LineReplies()
    /// Forms of untagged requests whose reply isn't plain.
    private var forms: [UInt64: LineReplyForm] = [:]
    private var tagged: [UInt64: Tagged] = [:]
    private var taggedNext = Self.taggedBit
    private var listingsWaiting = 0
    /// Listings that may have more than a page: what was asked last, and how many rows were written.
    private var paged: [UInt64: (request: Request, form: LineReplyForm, rows: Int)] = [:]
    /// Requests for next pages, which go before all else.
    private var nextPages: [Submission] = []
    /// Tickets of the GETs that may wait.
    private var waiting: Set<UInt64> = []
    /// Prefixes of the pushes of subscriptions made by tagged requests.
    private var prefixes: [ConsumerTag: [UInt8]] = [:]
    /// Set between BEGIN and COMMIT or ROLLBACK.
    private var transaction: LineTransaction?
    private var isEnding = false

    /// The name that the client gave itself with HELLO.
    public private(set) var clientName: String?
    /// A request was understood or refused: this is a client, not a port scan.
    public private(set) var hasSpoken = false
    /// The error for which the talk is ending, if it ends for one.
    public private(set) var violation: BrokerError?

    /// A session at the beginning of a connection; `version` is shown by HELLO.
    public init(limits: LineLimits = LineLimits(), version: String) {
        self.limits = limits
        self.version = version
        decoder = LineDecoder(limits: limits)
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
            || (replies.count < limits.untaggedWaitingMax && tagged.count < limits.taggedWaitingMax
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
            case .request(let tag, let command) where transaction != nil && command.isPartOfTransaction:
                bytes += transact(command, tag, into: &submissions, out: &out)
            case .request(let tag, .submit(let request, let form)):
                if case .publish(let message, _) = request { bytes += message.body.count }
                let submission = Submission(ticket(tag, form), request)
                submissions.append(submission)
                // Its rows may be many: they leave before more is asked.
                if form.isListing {
                    if case .list = request { paged[submission.ticket.rawValue] = (request, form, 0) }
                    if case .route = request { paged[submission.ticket.rawValue] = (request, form, 0) }
                    return .batchFull
                }
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

    /// The peer will send no more: what it asked is still answered, then the talk is over.
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
        for ticket in waiting.sorted() { answered(ticket, .empty, out: &out) }
    }

    /// Ends the talk at once: no more requests are taken, and what is owed stays unanswered.
    public mutating func kill(reason: String, out: inout ByteBuffer) {
        takeNoMore()
        LineWriter.line("NOTE killed \(LineWriter.oneLine(reason))", to: &out)
    }

    /// Writes what the broker says. Every answer must come here once.
    public mutating func heard(_ events: [SessionEvent], out: inout ByteBuffer) {
        for event in events {
            switch event {
            case .delivery(let delivery):
                var prefix: [UInt8] = []
                if !prefixes.isEmpty, let consumer = delivery.source.consumer {
                    prefix = prefixes[consumer] ?? []
                }
                writer.message(delivery, prefix: prefix, to: &out)
            case .answer(let ticket, let answer): answered(ticket.rawValue, answer, out: &out)
            case .consumerEnded(let tag, let reason):
                var line = Array("END sub=".utf8)
                LineText.appendName(tag.rawValue, to: &line)
                out.writeBytes(prefixes.removeValue(forKey: tag) ?? [])
                out.writeBytes(line)
                out.writeString(" \(reason.rawValue)\n")
            case .notice(.blocked(let text)): LineWriter.line("NOTE blocked \(text)", to: &out)
            case .notice(.unblocked): LineWriter.line("NOTE unblocked publishes are taken again", to: &out)
            case .notice(.draining):
                LineWriter.line(
                    "NOTE draining the server is shutting down; what you hold goes back",
                    to: &out
                )
            }
        }
    }

    // MARK: requests

    private mutating func ticket(_ tag: [UInt8], _ form: LineReplyForm) -> Ticket {
        if form.isListing { listingsWaiting += 1 }
        let ticket = opened(tag, form)
        if form == .waiting { waiting.insert(ticket.rawValue) }
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
        case .ping, .help, .commit, .rollback, .submit: break
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
        case .ping, .quit, .begin, .submit: LineWriter.line("OK", prefix: prefix, to: &out)
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
        case .hello, .ping, .help, .quit: break
        }
        return 0
    }

    private mutating func end(with error: BrokerError, tag: [UInt8], out: inout ByteBuffer) {
        reply(to: tag, out: &out) { prefix, out in LineWriter.error(error, prefix: prefix, to: &out) }
        violation = error
        takeNoMore()
    }

    // MARK: answers

    private mutating func answered(_ ticket: UInt64, _ answer: Answer, out: inout ByteBuffer) {
        if !waiting.isEmpty { waiting.remove(ticket) }
        if ticket & Self.taggedBit != 0 {
            guard let request = tagged.removeValue(forKey: ticket) else { return }
            if writePage(answer, ticket, prefix: request.prefix, out: &out) {
                tagged[ticket] = request
                return
            }
            note(answer, request.form, prefix: request.prefix)
            write(answer, request.form, ticket, prefix: request.prefix, out: &out)
            return
        }
        guard replies.isOpen(ticket) else { return }
        let form = forms.isEmpty ? .plain : forms.removeValue(forKey: ticket) ?? .plain
        note(answer, form, prefix: [])
        guard replies.isFirst(ticket) else { return replies.keep(answer, form, in: ticket) }
        if writePage(answer, ticket, prefix: [], out: &out) {
            forms[ticket] = form
            return
        }
        replies.wroteFirst()
        write(answer, form, ticket, prefix: [], out: &out)
        while let (ready, ticket) = replies.takeFirst() {
            switch ready {
            case .done: out.writeStaticString("OK\n")
            case .count(let count): LineWriter.count(count, to: &out)
            case .held(.bytes(let bytes)): out.writeBytes(bytes)
            case .held(.answer(let answer, let form)):
                if writePage(answer, ticket, prefix: [], out: &out) {
                    forms[ticket] = form
                    return replies.reopenFirst()
                }
                write(answer, form, ticket, prefix: [], out: &out)
            }
            replies.wroteFirst()
        }
    }

    /// Writes the rows of a page behind which there is another, and sees that it is asked for; false for any
    /// other answer.
    private mutating func writePage(
        _ answer: Answer, _ ticket: UInt64, prefix: [UInt8], out: inout ByteBuffer
    ) -> Bool {
        guard case .page(let page, let cursor?) = answer, let listing = paged[ticket],
            let next = listing.request.goingOn(after: cursor)
        else { return false }
        let rows = Self.rows(page, listing.form, prefix: prefix, out: &out)
        paged[ticket] = (next, listing.form, listing.rows + rows)
        nextPages.append(Submission(Ticket(ticket), next))
        return true
    }

    /// Remembers what later pushes need.
    private mutating func note(_ answer: Answer, _ form: LineReplyForm, prefix: [UInt8]) {
        if case .consuming(let tag) = answer, !prefix.isEmpty { prefixes[tag] = prefix }
        if case .named(let name) = form, case .done = answer { prefixes[ConsumerTag(name)] = nil }
    }

    private mutating func write(
        _ answer: Answer,
        _ form: LineReplyForm,
        _ ticket: UInt64,
        prefix: [UInt8],
        out: inout ByteBuffer
    ) {
        var before = 0
        if form.isListing {
            listingsWaiting -= 1
            before = paged.removeValue(forKey: ticket)?.rows ?? 0
        }
        switch answer {
        case .page(let rows, next: _):
            let count = Self.rows(rows, form, prefix: prefix, out: &out)
            LineWriter.count(before + count, prefix: prefix, to: &out)
        case .done:
            if case .named(let name) = form {
                LineWriter.ok(name, prefix: prefix, to: &out)
            } else {
                LineWriter.line("OK", prefix: prefix, to: &out)
            }
        case .routed(let count), .count(let count): LineWriter.count(count, prefix: prefix, to: &out)
        case .unroutable(let message):
            let text = "no queue is bound to exchange '\(message.exchange)' with key '\(message.routingKey)'"
            LineWriter.error(BrokerError(.noRoute, text), prefix: prefix, to: &out)
        case .declared(let name, let ready, let consumers):
            let rest = " ready=\(ready) consumers=\(consumers)"
            LineWriter.ok(name.rawValue, rest: rest, prefix: prefix, to: &out)
        case .consuming(let tag): LineWriter.ok(tag.rawValue, prefix: prefix, to: &out)
        case .delivered(let delivery, remaining: _): writer.message(delivery, prefix: prefix, to: &out)
        case .empty: LineWriter.line("NIL", prefix: prefix, to: &out)
        case .committed(let counts): LineWriter.count(counts.reduce(0, +), prefix: prefix, to: &out)
        case .refused(let error):
            if case .transaction(let tags) = form, let part = error.part {
                return LineWriter.error(error.named(part, tag: tags[part]), prefix: prefix, to: &out)
            }
            LineWriter.error(error, prefix: prefix, to: &out)
        case .messages, .queues, .exchanges, .bindings, .consumers, .connections, .routes, .status, .policies,
            .reasons, .table:
            let count = Self.rows(answer, form, prefix: prefix, out: &out)
            LineWriter.count(count, prefix: prefix, to: &out)
        }
    }

    /// Writes rows and returns how many.
    private static func rows(
        _ answer: Answer, _ form: LineReplyForm, prefix: [UInt8], out: inout ByteBuffer
    ) -> Int {
        func list<Row>(_ rows: [Row], _ write: (Row, inout JSONRow) -> Void) -> Int {
            LineWriter.rows(rows.count, fields: form.fields, prefix: prefix, to: &out) {
                write(rows[$0], &$1)
            }
            return rows.count
        }
        switch answer {
        case .messages(let rows):
            return list(rows) { LineRows.message($0, withBody: form != .withoutBodies, to: &$1) }
        case .queues(let rows): return list(rows) { LineRows.queue($0, to: &$1) }
        case .exchanges(let rows): return list(rows) { LineRows.exchange($0, to: &$1) }
        case .bindings(let rows): return list(rows) { LineRows.binding($0, to: &$1) }
        case .consumers(let rows): return list(rows) { LineRows.consumer($0, to: &$1) }
        case .connections(let rows): return list(rows) { LineRows.connection($0, to: &$1) }
        case .policies(let rows): return list(rows) { LineRows.policy($0, to: &$1) }
        case .reasons(let rows): return list(rows) { LineRows.reason($0, to: &$1) }
        case .table(let table):
            return list(table.rows) { LineRows.query($0, columns: table.columns, to: &$1) }
        case .routes(let rows): return list(rows) { LineRows.route($0, to: &$1) }
        case .status(let row): return list([row]) { LineRows.status($0, to: &$1) }
        case .done, .routed, .unroutable, .declared, .consuming, .count, .delivered, .empty, .committed,
            .page, .refused:
            preconditionFailure("an answer without rows was written as a listing")
        }
    }
}
