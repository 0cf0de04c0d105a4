// What the broker says, as the bytes of a line session: replies in the order of their requests, listings page by page,
// and pushes between them.

public import LeveretCore
public import NIOCore

extension LineSession {
    /// Writes what the broker says. Every answer must come here once. What is written goes to `full` whenever it is
    /// enough for one write, and `full` empties it.
    public mutating func heard(
        _ events: [SessionEvent], out: inout ByteBuffer, full: (inout ByteBuffer) -> Void = { _ in }
    ) {
        for event in events {
            if isFull(out) { full(&out) }
            switch event {
            case .delivery(let delivery):
                var prefix: [UInt8] = []
                if !prefixes.isEmpty, let consumer = delivery.source.consumer {
                    prefix = prefixes[consumer] ?? []
                }
                writer.message(delivery, prefix: prefix, to: &out)
            case .answer(let ticket, let answer): answered(ticket.rawValue, answer, out: &out, full: full)
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

    private func isFull(_ out: ByteBuffer) -> Bool { out.readableBytes >= limits.batchBytesMax }

    /// Writes an answer once it is its turn.
    mutating func answered(
        _ ticket: UInt64, _ answer: Answer, out: inout ByteBuffer, full: (inout ByteBuffer) -> Void = { _ in }
    ) {
        if !waiting.isEmpty { waiting[ticket] = nil }
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
            if isFull(out) { full(&out) }
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
            .reasons, .table, .virtualHosts, .users, .permissions, .topicPermissions,
            .sessions, .userDefinitions:
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
            if case .documents(let queue) = form {
                return list(rows) {
                    MessageDocument.write($0, in: queue, to: &$1)
                    $1.field("position", $0.number.rawValue)
                    LineRows.place($0, to: &$1)
                    $1.end()
                }
            }
            return list(rows) { LineRows.message($0, withBody: form != .withoutBodies, to: &$1) }
        case .queues(let rows): return list(rows) { LineRows.queue($0, to: &$1) }
        case .exchanges(let rows): return list(rows) { LineRows.exchange($0, to: &$1) }
        case .bindings(let rows): return list(rows) { LineRows.binding($0, to: &$1) }
        case .consumers(let rows): return list(rows) { LineRows.consumer($0, to: &$1) }
        case .connections(let rows): return list(rows) { LineRows.connection($0, to: &$1) }
        case .sessions(let rows): return list(rows) { LineRows.session($0, to: &$1) }
        case .policies(let rows): return list(rows) { LineRows.policy($0, to: &$1) }
        case .virtualHosts(let rows): return list(rows) { LineRows.virtualHost($0, to: &$1) }
        case .users(let rows): return list(rows) { LineRows.user($0, to: &$1) }
        case .permissions(let rows): return list(rows) { LineRows.permission($0, to: &$1) }
        case .topicPermissions(let rows): return list(rows) { LineRows.topicPermission($0, to: &$1) }
        case .userDefinitions(let rows): return list(rows) { LineRows.userDefinition($0, to: &$1) }
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
