import LeveretCore
import LeveretWire
import NIOCore
import Testing

/// A request and how its refusal begins.
struct Refusal: CustomTestStringConvertible, Sendable {
    let request: String
    /// The code, then what the text must contain.
    let code: Int
    let says: [String]
    var testDescription: String { request.count > 80 ? request.prefix(80) + "…" : request }

    init(_ request: String, _ code: Int, _ says: String...) {
        self.request = request
        self.code = code
        self.says = says
    }
}

private let long = String(repeating: "n", count: 256)
private let longest = String(repeating: "n", count: 255)

@Suite struct LineBadInputTests {
    /// Verbs with as many arguments as they must have.
    private static let whole: [(verb: String, request: String)] = [
        ("EXCHANGE", "EXCHANGE e topic"), ("QUEUE", "QUEUE q"), ("BIND", "BIND q e"),
        ("UNBIND", "UNBIND q e"), ("BINDX", "BINDX d s"), ("UNBINDX", "UNBINDX d s"), ("GET", "GET q"),
        ("SUB", "SUB q"), ("UNSUB", "UNSUB s"), ("ACK", "ACK 1"), ("NACK", "NACK 1"), ("REJECT", "REJECT 1"),
        ("PEEK", "PEEK q"), ("MOVE", "MOVE a to b"), ("REPLAY", "REPLAY a"), ("PURGE", "PURGE q"),
        ("DROP", "DROP queue q"),
        ("LIST", "LIST queues"), ("ROUTE", "ROUTE e k"), ("TOUCH", "TOUCH 1"), ("PAUSE", "PAUSE q"),
        ("RESUME", "RESUME q"), ("WHY", "WHY q"), ("POLICY", "POLICY p x"),
        ("CANCEL", "CANCEL q 1"), ("EDIT", "EDIT q 1 delay=5"), ("SQL", "SQL query"),
        ("KILL", "KILL connection 1"), ("LOG", "LOG debug"), ("EXPORT", "EXPORT q"), ("VHOST", "VHOST v"),
        ("CREATE", "CREATE vhost v"), ("LIMIT", "LIMIT vhost v"),
    ]
    private static let free = ["HELLO", "PING", "HELP", "STAT", "BEGIN", "COMMIT", "ROLLBACK"]

    /// Refused in one line, with nothing submitted, and the talk goes on.
    private static func check(_ refusal: Refusal, _ sourceLocation: SourceLocation = #_sourceLocation) {
        var talk = Talk()
        let said = talk.send(refusal.request + "\nPING\n")
        let lines = said.split(separator: "\n")
        #expect(lines.count == 2 && lines.last == "OK", "\(said)", sourceLocation: sourceLocation)
        #expect(talk.submissions.isEmpty, sourceLocation: sourceLocation)
        let start = "ERR \(refusal.code) "
        #expect(lines.first?.hasPrefix(start) == true, "\(said)", sourceLocation: sourceLocation)
        for word in refusal.says {
            #expect(said.contains(word), "'\(word)' is not in \(said)", sourceLocation: sourceLocation)
        }
    }

    @Test(arguments: whole.map(\.request))
    func `a verb with its arguments is understood`(request: String) {
        var talk = Talk()
        #expect(!talk.send(request + "\n").hasPrefix("ERR"))
        #expect(talk.submissions.count == 1)
    }

    @Test(arguments: whole.map(\.request))
    func `a verb with one argument less says its syntax`(request: String) {
        let words = request.split(separator: " ")
        // Without `to` and what follows, MOVE is short as well.
        let fewer = words.dropLast().joined(separator: " ")
        Self.check(Refusal(fewer, 502, "the syntax is: \(words[0])"))
        Self.check(Refusal(String(words[0]), 502, "arguments are missing; the syntax is: \(words[0])"))
    }

    @Test(arguments: whole + free.map { ($0, $0) })
    func `what a verb does not know is refused by name`(verb: String, request: String) {
        var filled = request
        if ["BIND", "UNBIND", "BINDX", "UNBINDX"].contains(verb) { filled += " pattern" }
        if verb == "STAT" { filled += " q" }
        if verb == "REPLAY" { filled += " to b" }
        if verb == "HELP" { filled += " GET" }
        Self.check(Refusal(filled + " frob", 502, "'frob'", "the syntax is: \(verb)"))
        Self.check(Refusal(filled + " frob=1", 502, "'frob", "the syntax is: \(verb)"))
        Self.check(Refusal(filled + " \"frob\"", 502, "'frob' is one argument too many"))
        if !["MOVE", "REPLAY", "EDIT"].contains(verb) {
            Self.check(Refusal(filled + " :body", 502, "\(verb) takes no body; the syntax is"))
            Self.check(Refusal(filled + " {3}\nPUB", 502, "\(verb) takes no body"))
        }
    }

    @Test(arguments: [
        "QUEUE NAME", "EXCHANGE NAME direct", "BIND NAME e", "BIND q NAME", "BIND q e NAME", "UNBIND NAME e",
        "BINDX NAME s", "UNBINDX d NAME", "PUB NAME k :x", "PUB e NAME :x", "PUB e NAME id=1 {0}\n",
        "PUB e k id=NAME :x", "PUB e k type=NAME :x", "PUB e k reply-to=NAME :x",
        "PUB e k correlation-id=NAME :x", "PUB e k content-type=NAME :x", "PUB e k h.NAME=1 :x",
        "GET NAME", "SUB NAME", "SUB q as=NAME", "UNSUB NAME", "PEEK NAME", "MOVE NAME to b",
        "MOVE a to NAME",
        "REPLAY NAME", "REPLAY a to NAME", "REPLAY a to exchange=NAME",
        "MOVE a to exchange=NAME", "MOVE a to exchange=e key=NAME", "PURGE NAME", "DROP queue NAME",
        "DROP exchange NAME", "LIST queues match=NAME", "STAT NAME", "ROUTE NAME k", "ROUTE e NAME",
        "HELLO name=NAME", "EXCHANGE e direct alternate=NAME", "QUEUE q dead-letter-exchange=NAME",
        "QUEUE q dead-letter-key=NAME", "PAUSE NAME", "RESUME NAME", "WHY NAME", "POLICY NAME x",
        "POLICY p NAME ttl=1", "DROP policy NAME", "VHOST NAME", "CREATE vhost NAME", "LIMIT vhost NAME",
        "DROP vhost NAME",
    ])
    func `a name of 255 bytes is taken, of 256 refused`(request: String) {
        var talk = Talk()
        let fits = request.replacing("NAME", with: longest)
        #expect(!talk.send(fits + "\n").hasPrefix("ERR"))
        Self.check(Refusal(request.replacing("NAME", with: long), 502, "255", "256"))
        let bytes = request.replacing("NAME", with: "\"\\xff\"")
        if request.contains("h.NAME") {
            Self.check(Refusal(bytes, 502, "not UTF-8"))
        } else {
            Self.check(Refusal(bytes, 502, "is not UTF-8; only headers and bodies may be bytes"))
        }
    }

    @Test(
        arguments: [
            ("QUEUE q ttl=N", 0, 4_294_967_295), ("QUEUE q expires=N", 1, 4_294_967_295),
            ("QUEUE q max-length=N", 0, Int64.max), ("QUEUE q max-bytes=N", 0, Int64.max),
            ("QUEUE q delivery-limit=N", 0, Int64.max), ("PUB e k ttl=N :x", 0, 4_294_967_295),
            ("PUB e k priority=N :x", 0, 255), ("GET q wait=N", 0, 86_400_000),
            ("SUB q prefetch=N", 0, 65_535), ("SUB q consumer-timeout=N", 1, 4_294_967_295),
            ("QUEUE q consumer-timeout=N", 1, 4_294_967_295), ("TOUCH N", 0, Int64.max),
            ("QUEUE q expires-if-empty=N", 1, 4_294_967_295), ("TOUCH 1 for=N", 1, 4_294_967_295),
            ("QUEUE q deduplicate=N", 1, 4_294_967_295), ("QUEUE q max-priority=N", 1, 255),
            ("EXCHANGE e direct deduplicate=N", 1, 4_294_967_295),
            ("ACK N", 0, Int64.max), ("NACK N", 0, Int64.max), ("REJECT N", 0, Int64.max),
            ("PEEK q n=N", 1, 1000), ("PEEK q from=N", 0, Int64.max), ("MOVE a to b n=N", 1, Int64.max),
            ("REPLAY a n=N", 1, Int64.max), ("PURGE a n=N", 1, Int64.max),
            ("MOVE a to b position=N", 1, Int64.max), ("MOVE a to b position=1 if=N", 1, Int64.max),
        ] as [(String, Int64, Int64)])
    func `a number is taken within its range only`(request: String, low: Int64, high: Int64) {
        for number in [low, high] {
            var talk = Talk()
            #expect(!talk.send(Self.put("\(number)", in: request) + "\n").hasPrefix("ERR"))
        }
        let allowed = "allowed is \(low) to \(high)"
        for number in [
            "\(low - 1)", "-1", "\(UInt64(high) + 1)", "9223372036854775808", "99999999999999999999",
        ] {
            Self.check(Refusal(Self.put(number, in: request), 406, number, "out of range; \(allowed)"))
        }
        for word in ["soon", "1.5", "0x10", "+1", "1e3", "-", "''", "١"] {
            Self.check(Refusal(Self.put(word, in: request), 502, "is not a whole number; \(allowed)"))
        }
    }

    /// Replaces the N that stands for the number, not one in a verb.
    private static func put(_ number: String, in request: String) -> String {
        request.hasSuffix("N") ? request.dropLast() + number : request.replacing("=N", with: "=" + number)
    }

    @Test(arguments: [
        Refusal("", 502, "the line has no verb; HELP lists them"),
        Refusal("FROB", 503, "unknown verb 'FROB'; HELP lists them"), Refusal("\"PING\"", 503, "PING"),
        Refusal("P\"IN\"G", 503, "unknown verb"), Refusal("\u{1}\u{2}", 503, "unknown verb '??'"),
        Refusal("HELP frob", 503, "no verb 'frob'; HELP alone lists them"),
        Refusal(
            "EXCHANGE e frob", 503, "'frob'; known are direct, topic, fanout, headers and x-delayed-message"),
        Refusal("EXCHANGE e direct durable=maybe", 502, "durable=maybe must be yes or no"),
        Refusal("EXCHANGE e direct internal internal", 502, "internal is given twice; give it once"),
        Refusal("EXCHANGE e direct alternate", 502, "alternate needs a value"),
        Refusal("EXCHANGE e direct alternate=a x-alternate-exchange=b alternate-exchange=c", 502, "unknown"),
        Refusal("QUEUE \"\"", 502, "not empty; an unquoted ?"),
        Refusal("QUEUE q overflow=explode", 502, "drop-head, reject-publish, reject-publish-dlx"),
        Refusal("QUEUE q ttl=1 x-message-ttl=1", 502, "x-message-ttl is given twice"),
        Refusal("QUEUE q x-a=1 x-a=2", 502, "'x-a' is given twice"),
        Refusal("QUEUE q x-a=9223372036854775808", 502, "does not fit in 64 bits"),
        Refusal("QUEUE q x-a=\"\\xff\"", 502, "x-a is not UTF-8"),
        Refusal("QUEUE q x-a", 502, "unknown option 'x-a'"),
        Refusal("QUEUE q ttl=", 502, "not a whole number"),
        Refusal("QUEUE q deduplicate=often", 502, "deduplicate=often"),
        Refusal("QUEUE q single-active=maybe", 502, "single-active=maybe must be yes or no"),
        Refusal("SUB q priority=high", 502, "priority=high is not a whole number"),
        Refusal("SUB q priority=2147483648", 406, "out of range"),
        Refusal("QUEUE q max-priority=0", 406, "max-priority=0", "1 to 255"),
        Refusal("QUEUE q max-priority=256", 406, "max-priority=256", "1 to 255"),
        Refusal("QUEUE q delayed-retry-type=now", 502, "must be one of disabled, all, failed, returned"),
        Refusal("QUEUE q delayed-retry-min=0", 406, "delayed-retry-min=0", "1 to 4294967295"),
        Refusal("QUEUE q delayed-retry-jitter=101", 406, "delayed-retry-jitter=101", "0 to 100"),
        Refusal("CANCEL q first", 502, "'first' is no position"), Refusal("CANCEL q 0", 502, "no position"),
        Refusal("EDIT q 1 if=0 delay=1", 406, "if=0"), Refusal("EDIT q 1 delay=4294967296", 406, "delay="),
        Refusal("PUB e k", 502, "PUB needs a body"), Refusal("PUB e :x", 502, "arguments are missing"),
        Refusal("PUB e k l :x", 502, "unknown option 'l'"),
        Refusal("PUB e k transient=5 :x", 502, "yes or no"),
        Refusal("PUB e k h.=1 :x", 502, "1 to 255 bytes, not 0"), Refusal("PUB e k h.a :x", 502, "h.a=value"),
        Refusal("PUB e k h.a=1 h.a=2 :x", 502, "'a' is given twice"),
        Refusal("PUB e k h.a=9223372036854775808 :x", 502, "does not fit in 64 bits; quote it"),
        Refusal("PUB e k h.a=json:{ :x", 502, "JSON"), Refusal("PUB e k h.a=json: :x", 502, "JSON"),
        Refusal(
            "PUB e k h.a=json:\(String(repeating: "[", count: 33)) :x", 502,
            "32"),
        Refusal("PUB e k id :x", 502, "id needs a value"),
        Refusal("PUB e k delay=4294967296 :x", 406, "delay=4294967296", "0 to 4294967295"),
        Refusal("PUB e k delay=1 h.x-delay=1 :x", 502, "give one of them"),
        Refusal("GET q wait", 502, "wait needs a value"), Refusal("GET q auto-ack=1", 502, "yes or no"),
        Refusal("REJECT 1 error", 502, "error needs a value"),
        Refusal("REJECT 1 delay=5", 502, "delay= needs requeue"), Refusal("NACK 1 requeue", 502, "'requeue'"),
        Refusal("PEEK q state=gone", 502, "must be one of ready, unacked, delayed"),
        Refusal("PEEK q where", 502, "option where needs a value"),
        Refusal("SQL", 502, "arguments are missing"), Refusal("SQL SELECT 1", 502, "one argument too many"),
        Refusal("MOVE a to b where=1 position=1", 502, "where= or position=, not both"),
        Refusal("PEEK q body=maybe", 502, "body=maybe must be yes or no"),
        Refusal("REPLAY a b", 502, "'to' is wanted, not 'b'"), Refusal("REPLAY a to", 502, "behind 'to'"),
        Refusal("REPLAY a exchange=e", 502, "'to' is wanted before exchange="),
        Refusal("REPLAY a key=k", 502, "'to' is wanted"), Refusal("REPLAY a if=1", 502, "need position="),
        Refusal("REPLAY a where=1 position=1", 502, "REPLAY takes where= or position=, not both"),
        Refusal("PURGE a n=0", 406, "n=0 is out of range"), Refusal("PURGE a where", 502, "needs a value"),
        Refusal("MOVE a at b", 502, "'to' is wanted, not 'at'"), Refusal("MOVE a to", 502, "behind 'to'"),
        Refusal("MOVE a to b exchange=e", 502, "behind 'to'"), Refusal("MOVE a to b key=k", 502, "key="),
        Refusal("MOVE a to b if=1", 502, "need position="), Refusal("MOVE a to b :x", 502, "need position="),
        Refusal("MOVE a to b {1}\nx", 502, "need position="),
        Refusal("MOVE a to b n=1 position=1", 502, "n= or position=, not both"),
        Refusal("DROP table q", 502, "DROP knows queue, exchange, policy and vhost, not 'table'"),
        Refusal("DROP policy p if-empty", 502, "operator is for policies"),
        Refusal("DROP queue q operator", 502, "operator is for policies"),
        Refusal("DROP exchange e if-empty", 502, "if-unused only"),
        Refusal("LOG loud", 502, "LOG knows no level 'loud'", "the syntax is: LOG trace|debug"),
        Refusal("DROP vhost v if-empty", 502, "if-unused are for queues"),
        Refusal("DROP vhost v operator", 502, "operator is for policies"),
        Refusal("CREATE queue q", 502, "CREATE knows vhost, not 'queue'", "the syntax is: CREATE"),
        Refusal("LIMIT queue q", 502, "LIMIT knows vhost, not 'queue'"),
        Refusal("LIMIT vhost v max-queues=-1", 406, "max-queues=-1 is out of range"),
        Refusal(
            "LIMIT vhost v max-connections=2147483648", 406, "max-connections=2147483648 is out of range"),
        Refusal("LIST frobs", 502, "LIST knows queues", "not 'frobs'"),
        Refusal("PUB \"\" \"half", 502, "a quote is open", "close it"),
        Refusal("PUB \"\" \"\\q\" :x", 502, "escapes"),
        Refusal("PUB \"\" \"\\x4\" :x", 502, "two hexadecimal"),
    ])
    func `a bad request is named, and the talk goes on`(refusal: Refusal) { Self.check(refusal) }

    @Test(arguments: [
        "BACKUP f", "backup {4}\nPING",
    ])
    func `a verb of a later version is told from an unknown one`(request: String) {
        let verb = request.split(separator: " ")[0].uppercased()
        Self.check(Refusal(request, 540, "\(verb) is not built yet; HELP lists what is"))
    }

    @Test func `HELP lists every verb with its syntax, and one alone`() {
        var talk = Talk()
        let all = talk.send("HELP\n")
        for verb in Self.whole.map(\.verb) + Self.free + [
            "PUB", "IMPORT", "QUIT", "AUTH", "USER", "PERMISSION",
        ] {
            #expect(all.contains("TEXT \(verb)"))
            #expect(talk.send("help \(verb.lowercased())\n").hasPrefix("TEXT \(verb)"))
        }
        #expect(all.hasSuffix("OK \(Self.whole.count + Self.free.count + 6)\n"))
    }

    @Test func `the error text of a REJECT has 1,024 bytes at most`() {
        var talk = Talk()
        #expect(talk.send("REJECT 1 error=\(String(repeating: "e", count: 1024))\n") == "OK\n")
        Self.check(
            Refusal("REJECT 1 error=\(String(repeating: "e", count: 1025))", 502, "1025 bytes", "1024"))
    }
}
