import LeveretCore
import LeveretWire
import NIOCore
import Testing

@Suite struct LineSessionTests {
    private let source = DeliverySource(queue: "jobs", consumer: "w 1", autoAck: false)

    private func delivery(_ tag: DeliveryTag, _ body: String, from source: DeliverySource? = nil) -> Delivery
    {
        Delivery(
            source: source ?? self.source,
            tag: tag,
            number: 41,
            message: Message(exchange: "", routingKey: "jobs", body: Array(body.utf8)),
            deliveries: 2,
            failed: 0,
            deaths: nil
        )
    }

    @Test func `untagged replies leave in the order of the requests`() {
        var talk = Talk()
        talk.answersAtOnce = false
        #expect(talk.send("GET q wait=1000\nPUB e k :x\nPING\nACK 1\nPUB e k :y\n") == "")
        #expect(talk.submissions.map(\.ticket) == [0, 1, 3, 4])
        #expect(talk.hear(.answer(4, .routed(2)), .answer(1, .routed(1)), .answer(3, .done)) == "")
        #expect(talk.hear(.answer(0, .empty)) == "NIL\nOK 1\nOK\nOK\nOK 2\n")
        #expect(talk.send("PING\n") == "OK\n")
    }

    @Test func `messages that wait for an earlier reply stop the reading, and leave in more than one write`()
    {
        var limits = LineLimits()
        limits.batchBytesMax = 100
        limits.heldReplyBytesMax = 1000
        var talk = Talk(limits: limits)
        talk.answersAtOnce = false
        #expect(talk.send("GET a wait=1000\nGET b\nGET b\n") == "")
        let body = String(repeating: "x", count: 400)
        for place in 1...2 as ClosedRange<UInt64> {
            #expect(talk.session.wantsBytes)
            let message = delivery(DeliveryTag(place), body)
            #expect(talk.hear(.answer(Ticket(place), .delivered(message, remaining: 0))) == "")
        }
        #expect(!talk.session.wantsBytes)
        var out = ByteBuffer()
        var writes: [Int] = []
        talk.session.heard([.answer(0, .empty)], out: &out) { out in
            writes.append(out.readableBytes)
            out.clear()
        }
        #expect(writes.count == 1 && writes[0] < 600 && out.readableBytes < 600)
        #expect(talk.session.wantsBytes)
    }

    @Test func `a listing has the fields that were asked for, on every page`() {
        var talk = Talk()
        talk.answersAtOnce = false
        #expect(talk.send("LIST exchanges fields=type,name,none\n") == "")
        #expect(
            talk.hear(.answer(0, page(["a"], next: "a"))) == #"ROW {"name":"a","type":"direct"}"# + "\n")
        _ = talk.run()
        #expect(
            talk.hear(.answer(0, page(["b"], next: nil)))
                == #"ROW {"name":"b","type":"direct"}"# + "\nOK 2\n")
        #expect(
            talk.send("LIST exchanges fields\n").hasPrefix("ERR 502 SYNTAX_ERROR option fields needs a value")
        )
    }

    @Test func `KILL names a connection, and a killed talk ends with the reason on one line`() {
        var talk = Talk()
        talk.answersAtOnce = false
        #expect(talk.send("KILL connection \"a b\" reason=why\nKILL connection 7\n") == "")
        guard case .closeConnection("a b", reason: "why")? = talk.submissions.first?.request,
            case .closeConnection("7", reason: "an operator closed this connection")? = talk.submissions.last?
                .request
        else {
            Issue.record("\(talk.submissions)")
            return
        }
        var out = ByteBuffer()
        talk.session.kill(reason: "stuck\nOK 1", out: &out)
        #expect(String(buffer: out) == "NOTE killed stuck?OK 1\n")
        #expect(!talk.session.isInsideRequest && talk.send("PING\n") == "")
    }

    /// A page of a listing.
    private func page(_ names: [String], next: String?) -> Answer {
        .page(
            .exchanges(
                names.map {
                    ExchangeInfo(
                        definition: ExchangeDefinition(ExchangeName($0)), bindings: 0, published: 0,
                        unroutable: 0)
                }), next: next.map { ListCursor(.name($0)) })
    }

    /// The first words of each line, with the name in a row.
    private func short(_ text: String) -> [String] {
        text.split(separator: "\n").map {
            String($0.split(separator: ",")[0].replacing("{\"name\":", with: ""))
        }
    }

    @Test func `a listing of many pages is one reply, in its turn, the next page asked when one is written`()
    {
        var talk = Talk()
        talk.answersAtOnce = false
        #expect(talk.send("GET q wait=1000\nLIST exchanges\n#t LIST exchanges\nPUB e k :x\n") == "")
        #expect(talk.submissions.map(\.ticket.rawValue)[...1] == [0, 1] && talk.submissions.count == 4)
        let tagged = talk.submissions[2].ticket
        // Its turn has not come: no more is asked.
        #expect(talk.hear(.answer(1, page(["a"], next: "a")), .answer(2, .routed(1))) == "")
        #expect(!talk.session.hasNextPage)
        #expect(
            short(talk.hear(.answer(tagged, page(["a", "b"], next: "b")))) == [
                "#t ROW \"a\"", "#t ROW \"b\"",
            ])
        #expect(short(talk.hear(.answer(0, .empty))) == ["NIL", "ROW \"a\""])
        #expect(talk.session.hasNextPage && talk.run() == "")
        let asked = talk.submissions[4...]
        #expect(asked.map(\.ticket) == [tagged, 1])
        guard case .list(.exchanges, match: nil, after: ListCursor(.name("b")))? = asked.first?.request,
            case .list(.exchanges, match: nil, after: ListCursor(.name("a")))? = asked.last?.request
        else {
            Issue.record("other pages were asked for: \(asked)")
            return
        }
        #expect(short(talk.hear(.answer(1, page([], next: "x")))) == [])
        #expect(talk.run() == "" && talk.submissions.count == 7)
        #expect(short(talk.hear(.answer(tagged, page([], next: nil)))) == ["#t OK 2"])
        #expect(short(talk.hear(.answer(1, page(["c"], next: nil)))) == ["ROW \"c\"", "OK 2", "OK 1"])
        #expect(talk.session.owedReplies == 0 && !talk.session.hasNextPage)
        // Nothing is left behind that would stop the next ones.
        for _ in 0..<40 {
            talk.submissions = []
            _ = talk.send("LIST queues\n")
            #expect(talk.hear(.answer(talk.submissions[0].ticket, .page(.queues([]), next: nil))) == "OK 0\n")
        }
    }

    @Test func `keys that only look the same are written as they are`() {
        var talk = Talk()
        var text = ""
        for key in ["caf\u{E9}", "cafe\u{301}"] {
            var delivery = delivery(1, "x")
            delivery.message = Message(exchange: "", routingKey: key, body: [])
            text += talk.hear(.delivery(delivery))
        }
        #expect(text.unicodeScalars.contains("\u{E9}") && text.unicodeScalars.contains("\u{301}"))
    }

    @Test func `tagged replies overtake, and bear their tag on every line`() {
        var talk = Talk()
        talk.answersAtOnce = false
        #expect(talk.send("GET q wait=1000\n#a PUB e k :x\n#b LIST queues\n#c PING\n") == "#c OK\n")
        #expect(talk.hear(.answer(talk.submissions[1].ticket, .routed(3))) == "#a OK 3\n")
        let rows = talk.hear(.answer(talk.submissions[2].ticket, .queues([QueueInfo(QueueDefinition("q"))])))
        #expect(rows.hasPrefix(#"#b ROW {"name":"q","ready":0"#))
        #expect(rows.hasSuffix("}\n#b OK 1\n"))
    }

    @Test func `a push names its subscription, and bears the tag of the SUB that asked for it`() {
        var talk = Talk()
        talk.answersAtOnce = false
        _ = talk.send("#s SUB jobs as=\"w 1\"\n")
        #expect(talk.hear(.answer(talk.submissions[0].ticket, .consuming("w 1"))) == "#s OK \"w 1\"\n")
        #expect(
            talk.hear(.delivery(delivery(9, "ab\nc")))
                == "#s MSG 9 jobs \"\" jobs redelivered=1 deliveries=2 position=41 sub=\"w 1\" {4}\nab\nc\n"
        )
        #expect(talk.hear(.consumerEnded("w 1", .queueDeleted)) == "#s END sub=\"w 1\" queue deleted\n")
        #expect(talk.hear(.notice(.blocked("disk full"))) == "NOTE blocked disk full\n")
    }

    @Test func `what MSG shows of properties can be sent again as it stands`() {
        var talk = Talk()
        talk.answersAtOnce = false
        let options =
            #"id="a b" ttl=500 priority=4 type=t reply-to=r correlation-id=c content-type=text/plain "#
            + #"h.n=5 h.d=2.5 h.yes=true h.nil=null h.s="5" h.j=json:"{\"a\":[1,\"x\"]}" "#
            + #"h."a b"="" h.raw="\xff""#
        _ = talk.send("PUB e k \(options) :x\n")
        guard case .publish(let message, _) = talk.submissions.last?.request else {
            Issue.record("no publish was understood")
            return
        }
        var delivery = delivery(1, "x", from: DeliverySource(queue: "q", consumer: nil, autoAck: true))
        delivery.message = message
        let shown = talk.hear(.delivery(delivery))
        #expect(shown == "MSG 1 q e k redelivered=1 deliveries=2 position=41 \(options) {1}\nx\n")
    }

    @Test func `bytes behind QUIT are not understood, and the talk ends when all is answered`() {
        var talk = Talk()
        talk.answersAtOnce = false
        #expect(talk.send("PUB e k :x\nQUIT\nPING\n") == "")
        #expect(!talk.session.isFinished)
        #expect(talk.hear(.answer(0, .routed(1))) == "OK 1\nOK\n")
        #expect(talk.session.isFinished)
    }

    @Test func `reading stops at the limit of waiting replies and goes on below it`() {
        var limits = LineLimits()
        limits.untaggedWaitingMax = 3
        limits.listingsWaitingMax = 2
        var talk = Talk(limits: limits)
        talk.answersAtOnce = false
        _ = talk.send("ACK 1\nACK 2\nACK 3\nACK 4\n")
        #expect(talk.submissions.count == 3)
        #expect(!talk.session.wantsBytes)
        #expect(talk.hear(.answer(0, .done)) == "OK\n")
        #expect(talk.session.wantsBytes)
        _ = talk.run()
        #expect(talk.submissions.count == 4)
        _ = talk.hear(.answer(1, .done), .answer(2, .done), .answer(3, .done))
        _ = talk.send("LIST queues\nLIST queues\n")
        #expect(!talk.session.wantsBytes)
        _ = talk.hear(.answer(4, .queues([])))
        #expect(talk.session.wantsBytes)
    }

    @Test func `a listing is submitted alone, so that its rows leave before the next is asked`() {
        var session = LineSession(limits: LineLimits(), version: "0.0")
        session.received(ByteBuffer(string: "ACK 1\nLIST bindings\n#a LIST queues\nACK 2\n"))
        var out = ByteBuffer()
        for (count, progress) in [(2, LineSession.Progress.batchFull), (1, .batchFull), (1, .needsBytes)] {
            var submissions: [Submission] = []
            #expect(session.decode(into: &submissions, out: &out) == progress)
            #expect(submissions.count == count)
        }
    }

    @Test func `a stream that ends inside a request runs nothing of it and says so`() {
        var talk = Talk()
        _ = talk.send("PUB e k {5}\nab")
        var out = ByteBuffer()
        talk.session.inputEnded(out: &out)
        #expect(String(buffer: out).hasPrefix("ERR 501 FRAME_ERROR the connection ended within a request"))
        #expect(talk.session.isFinished && talk.submissions.isEmpty)
    }

    @Test func `a dead letter shows where and why it died`() {
        let death = Death(
            queue: "jobs",
            reason: .expired,
            count: 1,
            exchange: "",
            routingKeys: ["jobs"],
            time: 1_769_850_300_250
        )
        let history = DeathHistory(
            deaths: [death],
            originQueue: "jobs",
            firstReason: .expired,
            firstExchange: "",
            firstTime: 0,
            lastTime: 0,
            errorText: "why"
        )
        var talk = Talk()
        talk.answersAtOnce = false
        _ = talk.send("PEEK dead\n")
        let peeked = PeekedMessage(
            number: 3,
            place: 4,
            state: .ready,
            message: Message(exchange: "e", routingKey: "k", body: [0xFF]),
            entered: 1_769_850_300_250,
            expires: nil,
            deliveries: 0,
            failed: 0,
            deaths: history
        )
        let expected =
            #"ROW {"position":3,"version":1,"state":"ready","exchange":"e","key":"k","priority":null,"#
            + #""entered":"2026-01-31T09:05:00.250Z","expires":null,"due":null,"deliveries":0,"failed":0,"#
            + #""size":1,"headers":{},"properties":{"delivery_mode":2},"held_by":null,"held_since":null,"#
            + #""origin":"jobs","reason":"expired","error":"why","#
            + #""deaths":[{"queue":"jobs","reason":"expired","count":1,"exchange":"","#
            + #""routing_keys":["jobs"],"time":"2026-01-31T09:05:00.250Z"}],"place":4,"body64":"/w=="}"#
        #expect(talk.hear(.answer(0, .messages([peeked]))) == expected + "\nOK 1\n")
    }
}
