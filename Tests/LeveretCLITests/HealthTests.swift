// `check` and `doctor`: thresholds and rules against rows, no server in between.

import LeveretTestSupport
import Testing

@testable import LeveretCLI

private let now: Int64 = 1_800_000_000_000

private func row(_ text: String) throws -> JSON { try #require(JSON(text.utf8)) }

/// A queue's row: `fields` over one in which nothing is and nothing happens.
private func queue(_ name: String, _ fields: String = "") throws -> JSON {
    let plain = try row(
        #"{"name":"\#(name)","ready":0,"unacked":0,"delayed":0,"consumers":0,"in_rate":0.0,"out_rate":0.0,"oldest":null,"#
            + #""dead":{"rejected":0,"expired":0,"maxlen":0,"delivery_limit":0},"durable":true,"exclusive":false,"#
            + #""paused_since":null,"effective":{}}"#)
    guard case .object(var all) = plain, case .object(let changes) = try row("{\(fields)}") else {
        return plain
    }
    for change in changes { all.removeAll { $0.name == change.name } }
    return .object(all + changes)
}

private func exchange(_ name: String, _ fields: String = "") throws -> JSON {
    let rest = fields.isEmpty ? "" : ",\(fields)"
    return try row(#"{"name":"\#(name)","effective":{}\#(rest)}"#)
}

private func binding(_ source: String, _ target: String, isQueue: Bool = true) throws -> BindingRow {
    let kind = isQueue ? "queue" : "exchange"
    let text =
        #"{"source":"\#(source)","destination":"\#(target)","destination_type":"\#(kind)","pattern":"","arguments":{}}"#
    return try #require(BindingRow(try row(text)))
}

@Suite struct HealthCheckTests {
    private func check(
        _ rows: [JSON], status: String = "{}", named: Bool = false, dead: [JSON] = [],
        _ limits: HealthLimits = .init()
    ) throws -> HealthCheck {
        HealthCheck(
            status: try row(status), rows: rows, isNamed: named, deadLetters: dead, limits: limits, now: now)
    }

    @Test func `a virtual host that can't be looked at is a warning`() throws {
        let unseen = [UnseenHost(name: "shop", why: "access refused")]
        let check = HealthCheck(
            status: .object([]), rows: [try queue("q")], unseen: unseen, limits: .init(), now: now)
        #expect(check.level == .warning)
        #expect(check.line == "WARNING: vhost 'shop' can't be looked at: access refused")
    }

    @Test func `what is well says how much there is`() throws {
        let rows = [
            try queue("a", #""ready":1200,"oldest":"2027-01-15T07:58:20.000Z""#),
            try queue("b", #""unacked":3"#),
        ]
        let check = try check(rows, .init(readyMax: 1200, ageMax: 100_000, unackedMax: 3))
        #expect(check.level == .ok)
        #expect(check.line == "OK: 2 queues, 1,200 ready, 3 unacked, oldest 1m 40s")
        #expect(
            check.nagiosLine == "LEVERET OK - 2 queues, 1,200 ready, 3 unacked, oldest 1m 40s|ready=1200;;;0 "
                + "unacked=3;;;0 delayed=0;;;0 consumers=0;;;0 oldest=100s;;100;0")
    }

    @Test(arguments: [
        (#""ready":1201"#, "queue 'q' has 1,201 ready (more than 1,200)"),
        (#""unacked":4"#, "queue 'q' has 4 unacked (more than 3)"),
        (
            #""oldest":"2027-01-15T07:58:19.000Z""#,
            "the oldest message of queue 'q' waits for 1m 41s (longer than 1m 40s)"
        ),
        (#""consumers":1"#, "queue 'q' has 1 consumer (fewer than 2)"),
    ])
    func `a threshold that is crossed is named with its queue`(fields: String, text: String) throws {
        let limits = HealthLimits(
            readyMax: 1200, ageMax: 100_000, unackedMax: 3, consumersMin: fields.contains("cons") ? 2 : nil)
        let check = try check([try queue("q", fields)], limits)
        #expect(check.level == .critical)
        #expect(check.line == "CRITICAL: \(text)")
    }

    @Test func `alarms and a disk that fills are critical, a pause is a warning`() throws {
        let status = #"{"alarms":["the disk is full"],"disk_free_bytes":1048576}"#
        let check = try check([], status: status, .init(diskFreeMin: 1 << 30))
        #expect(
            check.line == "CRITICAL: the disk is full; 1 MiB are free on the disk (less than 1 GiB)")
        #expect(check.nagiosLine.hasSuffix(" disk_free=1048576B;;1073741824:;0"))
        let paused = try self.check([try queue("q", #""paused_since":"2027-01-15T07:58:20.000Z""#)])
        #expect(paused.level == .warning && paused.line == "WARNING: queue 'q' is paused")
    }

    @Test func `dead letters count where they wait`() throws {
        let dead = [
            try queue("a.dead", #""ready":1"#), try queue("b.dead", #""ready":2,"unacked":1"#),
            try queue("c"),
        ]
        let check = try check([], dead: dead, .init(deadMax: 0))
        #expect(check.line == "CRITICAL: 4 dead letters wait in 2 queues, most in 'b.dead' (more than 0)")
        #expect(check.row["dead"] == .int(4))
        #expect(
            try self.check([], dead: dead, .init(deadMax: 4)).line
                == "OK: 0 queues, 0 ready, 0 unacked, 4 dead letters")
    }

    @Test func `a line stays short, and its text can't be taken for figures`() throws {
        let rows = try (1...9).map { try queue("q|\($0)", #""ready":1"#) }
        let check = try check(rows, .init(readyMax: 0))
        #expect(check.line.hasSuffix("queue 'q|5' has 1 ready (more than 0); and 4 findings more"))
        #expect(check.nagiosLine.count { $0 == "|" } == 1)
        let named = try self.check([try queue("it's=1", #""ready":2"#)], named: true, .init(readyMax: 5))
        #expect(
            named.nagiosLine.hasSuffix(
                " 'it''s_1 ready'=2;;5;0 'it''s_1 unacked'=0;;;0 'it''s_1 consumers'=0;;;0"))
    }

    @Test func `numbers that no count can be don't stop it`() throws {
        let most = "\"ready\":\(Int.max),\"unacked\":\(Int.max)"
        let check = HealthCheck(
            status: .object([]), rows: [try queue("a", most), try queue("b", most)],
            deadLetters: [try queue("a", most), try queue("b", most)], limits: HealthLimits(deadMax: 1),
            now: now)
        #expect(check.ready == .max && check.dead == .max)
    }

    @Test func `times and sizes are read as people write them`() {
        let times: [(String, Int64?)] = [
            ("0", 0), ("90", nil), ("90s", 90_000), ("5m", 300_000), ("2h", 7_200_000), ("1d", 86_400_000),
            ("250ms", 250),
            ("-1s", nil), ("", nil), ("5x", nil), ("9223372036854775807d", nil),
        ]
        for (text, milliseconds) in times {
            #expect((try? TimeArgument(text))?.milliseconds == milliseconds, "\(text)")
        }
        let sizes: [(String, Int?)] = [
            ("512", 512), ("1K", 1024), ("500M", 500 << 20), ("5GiB", 5 << 30), ("5gb", 5 << 30),
            ("1T", 1 << 40),
            ("-1", nil), ("G", nil), ("9223372036854775807T", nil),
        ]
        for (text, bytes) in sizes { #expect(SizeArgument(argument: text)?.bytes == bytes) }
    }
}

@Suite struct DeadLetterMapTests {
    private let viaExchange = #""effective":{"x-dead-letter-exchange":"dlx"}"#
    private let viaDefault =
        #""effective":{"x-dead-letter-exchange":"","x-dead-letter-routing-key":"a.dead"}"#

    @Test func `dead letters end in the queues that have no way on`() throws {
        let queues = [
            try queue("a", viaDefault), try queue("a.dead"), try queue("b", viaExchange), try queue("b.dead"),
            try queue("b.again", #""effective":{"x-dead-letter-exchange":"back"}"#),
            try queue("leveret.parked"),
            try queue("c", #""effective":{"x-dead-letter-exchange":"","x-dead-letter-routing-key":"gone"}"#),
        ]
        let map = DeadLetterMap(
            queues: queues,
            bindings: [
                try binding("dlx", "more", isQueue: false), try binding("more", "b.dead"),
                try binding("dlx", "b.again"),
                try binding("back", "b"),
            ])
        #expect(map.ends == ["a.dead", "b.dead", "leveret.parked"])
        #expect(map.ends(of: ["a"]) == ["a.dead"])
        #expect(map.ends(of: ["b"]) == ["b.dead"])
        #expect(map.ends(of: ["a.dead"]) == ["a.dead"])
        #expect(map.ends(of: ["c"]) == [])
    }
}

@Suite struct KeyedDeadLetterTests {
    private let keyed = #""effective":{"x-dead-letter-exchange":"e","x-dead-letter-routing-key":"a.dead"}"#

    @Test func `dead letters with a key end where that leads, not behind all bindings of the exchange`()
        throws
    {
        let queues = [try queue("a", keyed), try queue("a.dead"), try queue("orders")]
        let bindings = [try binding("e", "a.dead"), try binding("e", "orders")]
        let way = DeadLetterWay(exchange: "e", key: "a.dead")
        let map = DeadLetterMap(queues: queues, bindings: bindings, ways: [way: ["a.dead"]])
        #expect(map.ends == ["a.dead"])
        #expect(DeadLetterMap(queues: queues, bindings: bindings, ways: [way: []]).ends == [])
        // Nobody could be asked.
        #expect(DeadLetterMap(queues: queues, bindings: bindings).ends == ["a.dead", "orders"])
    }

    @Test func `check and doctor take no ordinary queue for one of dead letters`() async throws {
        let shell = try Shell()
        for name in ["jobs.dead", "orders"] {
            try await shell.run(["queue", "declare", name])
            try await shell.run(["bind", name, "amq.topic", name])
        }
        let dead = ["--dead-letter-exchange", "amq.topic", "--dead-letter-key", "jobs.dead"]
        try await shell.run(["queue", "declare", "jobs", "--ttl", "0"] + dead)
        try await shell.run(["publish", "", "orders", "x"])
        try await shell.run(["check", "--dead-max", "0"])
        #expect(try await !shell.script("leveret doctor").output.contains("waits in it"))
        try await shell.run(["publish", "", "jobs", "x"])
        #expect(try await shell.run(["check", "--dead-max", "0"], status: 4).output.contains("'jobs.dead'"))
    }

    @Test func `dead letters that go by their headers reach no dead end, and are counted where they wait`()
        async throws
    {
        let shell = try Shell()
        try await shell.run(["queue", "declare", "jobs.dead"])
        try await shell.run(["bind", "jobs.dead", "amq.headers", "--header", "tenant=a"])
        try await shell.run(["exchange", "declare", "dlx", "direct", "--alternate", "amq.headers"])
        for (name, exchange) in [("jobs", "amq.headers"), ("mails", "dlx")] {
            try await shell.run(
                ["queue", "declare", name, "--ttl", "0", "--dead-letter-exchange", exchange]
                    + ["--dead-letter-key", "any"])
        }
        #expect(try await !shell.script("leveret doctor -o csv").output.contains("dead_end"))
        for name in ["jobs", "mails"] {
            try await shell.run(["publish", "", name, "x", "--header", "tenant=a"])
        }
        let check = try await shell.run(["check", "--dead-max", "1"], status: 4)
        #expect(check.output.contains("2 dead letters wait in queue 'jobs.dead'"), "\(check.output)")
        try await shell.run(["unbind", "jobs.dead", "amq.headers", "--header", "tenant=a"])
        let ends = try await shell.script("leveret doctor -o csv --columns rule,subject").output
        #expect(ends.contains("dead_end,queue 'jobs'") && ends.contains("dead_end,queue 'mails'"), "\(ends)")
    }
}

@Suite struct DoctorTests {
    private func facts(_ queues: [JSON] = [], status: String = "{}") throws -> DoctorFacts {
        var facts = DoctorFacts()
        facts.queues = queues
        facts.status = try row(status)
        facts.localNow = now
        return facts
    }

    private func found(_ facts: DoctorFacts) -> [String] {
        found([facts])
    }

    private func found(_ hosts: [DoctorFacts]) -> [String] {
        DoctorRules.findings(in: hosts).map { "\($0.severity) \($0.rule) \($0.subject): \($0.text)" }
    }

    @Test func `a broker without faults has no findings`() throws {
        var facts = try facts([
            try queue(
                "jobs",
                #""ready":5,"consumers":1,"effective":{"x-dead-letter-exchange":"","x-dead-letter-routing-key":"dead"}"#
            ),
            try queue("dead"),
        ])
        facts.exchanges = [
            try exchange(""), try exchange("amq.topic"), try exchange("e", #""bindings":1,"published":9"#),
        ]
        facts.consumers = [
            try row(#"{"name":"w","queue":"jobs","session":"s","prefetch":10,"auto_ack":false}"#)
        ]
        #expect(found(facts) == [])
        let rules = (DoctorRules.ofServer + DoctorRules.ofHost).map(\.name)
        #expect(rules.count == Set(rules).count)
    }

    @Test func `who holds a message is named with the connection to close`() throws {
        var facts = try facts([])
        facts.consumers = [try row(#"{"name":"w","queue":"q","session":"s","connection":7}"#)]
        let held = DoctorFacts.Held(queue: "q", position: 1, holder: "s/w", since: 0)
        #expect(facts.closing(held) == "'leveret connections close 7'")
    }

    @Test(arguments: [
        (#""ready":2"#, "warning no_consumer queue 'q': 2 messages are ready and no consumer takes them"),
        (
            #""dead":{"rejected":2,"expired":0,"maxlen":0,"delivery_limit":1}"#,
            "warning no_dead_letters queue 'q': 3 messages that failed were dropped since the start: it has no dead-letter exchange"
        ),
        (
            #""effective":{"x-delivery-limit":5}"#,
            "info no_dead_letters queue 'q': it has a delivery limit and no dead-letter exchange: what fails too often is dropped"
        ),
        (
            #""ready":1200,"consumers":1,"in_rate":20.0,"out_rate":4.5"#,
            "warning no_limit queue 'q': it grows without limit: 20 a second come in and 4.5 go out"
        ),
        (
            #""ready":9,"consumers":1,"effective":{"x-max-length":9,"x-overflow":"reject-publish"}"#,
            "critical full queue 'q': it is full and refuses publishes: 9 of 9 messages"
        ),
        (
            #""dead":{"rejected":0,"expired":0,"maxlen":7,"delivery_limit":0}"#,
            "warning full queue 'q': 7 messages left it since the start because it was full"
        ),
        (
            #""ready":100,"consumers":1,"out_rate":2.0,"effective":{"x-message-ttl":10000}"#,
            "warning expiring queue 'q': its messages live for 10s and at this pace the last waits for 50s"
        ),
        (
            #""dead":{"rejected":0,"expired":1,"maxlen":0,"delivery_limit":0}"#,
            "info expiring queue 'q': 1 message expired since the start and is gone"
        ),
        (#""paused_since":"2027-01-15T07:58:20.000Z""#, "info paused queue 'q': it is paused for 1m 40s"),
        (#""paused_since":"2027-01-15T05:58:20.000Z""#, "warning paused queue 'q': it is paused for 2h 1m"),
        (
            #""effective":{"x-dead-letter-exchange":"gone"}"#,
            "warning dead_end queue 'q': its dead letters go to exchange 'gone', which isn't there"
        ),
    ])
    func `a fault of a queue is found`(fields: String, finding: String) throws {
        #expect(found(try facts([try queue("q", fields)])) == [finding])
    }

    @Test func `dead letters that reach no queue are found, by key and by exchange`() throws {
        let keyed = #""effective":{"x-dead-letter-exchange":"dlx","x-dead-letter-routing-key":"k"}"#
        var facts = try facts([
            try queue("a", keyed), try queue("b", #""effective":{"x-dead-letter-exchange":"bare"}"#),
        ])
        facts.exchanges = [try exchange("dlx", #""bindings":1"#), try exchange("bare", #""bindings":0"#)]
        facts.ways = [.init(exchange: "dlx", key: "k"): []]
        #expect(
            found(facts).filter { $0.contains("dead_end") } == [
                "warning dead_end queue 'a': its dead letters go to exchange 'dlx' with the key 'k' and reach no queue",
                "warning dead_end queue 'b': its dead letters go to exchange 'bare', to which nothing is bound",
            ])
    }

    @Test func `dead letters that wait are told where they end, and not as a queue without consumers`() throws
    {
        let toDead = #""effective":{"x-dead-letter-exchange":"","x-dead-letter-routing-key":"dead"}"#
        let facts = try facts([
            try queue("q", toDead), try queue("dead", #""ready":3"#),
            try queue("leveret.parked", #""ready":1"#),
        ])
        #expect(
            found(facts) == [
                "warning parked queue 'leveret.parked': 1 dead letter could go nowhere else",
                "info dead_letters queue 'dead': 3 dead letters wait in it",
            ])
    }

    @Test func `a burst, or a pause, is no growth without limit`() throws {
        let growing = #""in_rate":20.0,"out_rate":4.5,"consumers":1"#
        #expect(found(try facts([try queue("q", #""ready":1199,\#(growing)"#)])) == [])
        let paused = #""ready":1200,\#(growing),"paused_since":"2027-01-15T07:58:20.000Z""#
        #expect(
            found(try facts([try queue("q", paused)])) == ["info paused queue 'q': it is paused for 1m 40s"])
    }

    @Test func `a queue whose messages fail is found, with the way to their reasons`() throws {
        let fails =
            #""acked":9,"dead":{"rejected":8,"expired":0,"maxlen":0,"delivery_limit":2},"#
            + #""effective":{"x-dead-letter-exchange":"","x-dead-letter-routing-key":"two words"}"#
        let facts = try facts([try queue("q", fails), try queue("two words")])
        let finding = try #require(DoctorRules.findings(in: [facts]).first)
        #expect(
            "\(finding.severity) \(finding.rule): \(finding.text)"
                == "warning failing: 10 messages failed for good and 9 got acked since the start")
        #expect(
            finding.advice.hasPrefix("'leveret dead list 'two words'' has the reasons"), "\(finding.advice)")
        let fine = fails.replacing(#""acked":9"#, with: #""acked":10"#)
        #expect(found(try self.facts([try queue("q", fine), try queue("two words")])) == [])
    }

    @Test func `messages that come back at once are found where they do so again and again`() throws {
        let back = #""unacked":5,"consumers":1,"out_rate":700.0,"return_rate":690.0"#
        #expect(
            found(try facts([try queue("q", #"\#(back),"returned":51"#)])) == [
                "warning returning queue 'q': of 700 deliveries a second 690 come back, to be tried again at once"
            ])
        #expect(found(try facts([try queue("q", #"\#(back),"returned":50"#)])) == [])
    }

    @Test func `consumers that hold all they may while nothing goes out are found`() throws {
        var facts = try facts([try queue("q", #""ready":26,"unacked":4,"consumers":1"#)])
        facts.held = [.init(queue: "q", position: 7, holder: "s/w", since: now - 90_000)]
        func consumer(_ unacked: Int) throws -> JSON {
            try row(
                #"{"name":"w","queue":"q","session":"s","prefetch":4,"unacked":\#(unacked),"active":true}"#)
        }
        facts.consumers = [try consumer(4)]
        #expect(
            found(facts) == [
                "warning all_held queue 'q': nothing goes out: its consumers hold all that their prefetch allows, 's/w' "
                    + "message 7 for 1m 30s"
            ])
        facts.consumers.append(try consumer(3))
        #expect(found(facts) == [])
    }

    @Test func `messages that are held for long are found`() throws {
        var facts = try facts()
        facts.held = [
            .init(queue: "q", position: 7, holder: "s/w", since: now - 30 * 60_000),
            .init(queue: "q", position: 8, holder: "s/w", since: now - 2 * 3_600_000),
        ]
        #expect(found(facts) == ["warning held_long queue 'q': 's/w' holds message 8 for 2h"])
    }

    @Test func `faults of exchanges and consumers are found`() throws {
        var facts = try facts()
        facts.exchanges = [
            try exchange("", #""published":5,"unroutable":2"#),
            try exchange("e", #""published":9,"unroutable":9,"bindings":0"#),
            try exchange("amq.fanout", #""bindings":0"#),
        ]
        facts.consumers = [
            try row(#"{"name":"w","queue":"q","session":"s","prefetch":0,"unacked":1500,"auto_ack":false}"#),
            try row(#"{"name":"x","queue":"q","session":"s","prefetch":0,"unacked":0,"auto_ack":true}"#),
        ]
        #expect(
            found(facts) == [
                "warning prefetch_0 consumer 'w' of 's' at queue 'q': it takes any number of messages at once (prefetch 0) "
                    + "and holds 1,500",
                "warning unroutable the default exchange: 2 of 5 messages that came to it since the start reached no queue",
                "warning unroutable exchange 'e': 9 of 9 messages that came to it since the start reached no queue",
                "info auto_ack consumer 'x' of 's' at queue 'q': its messages count as done when they are sent: what it "
                    + "has not worked off is lost with it",
                "info unbound exchange 'e': nothing is bound to it: what is published to it is dropped",
            ])
    }

    @Test func `what is in other virtual hosts is named with them, and the server told of once`() throws {
        let status = #"{"alarms":["the disk is full"]}"#
        var shop = try facts([try queue("q", #""ready":2"#)], status: status)
        shop.prefix = "shop/"
        shop.exchanges = [try exchange("", #""published":5,"unroutable":2"#), try exchange("e")]
        shop.held = [.init(queue: "q", position: 8, holder: "s/w", since: now - 2 * 3_600_000)]
        shop.consumers = [try row(#"{"name":"x","queue":"q","session":"s","auto_ack":true}"#)]
        var hidden = try facts(status: status)
        hidden.unseen = UnseenHost(name: "two words", why: "refused")
        let hosts = [try facts([try queue("q", #""ready":1"#)], status: status), shop, hidden]
        #expect(
            found(hosts) == [
                "critical alarm server: the disk is full",
                "warning no_consumer queue 'q': 1 message is ready and no consumer takes it",
                "warning no_consumer queue 'shop/q': 2 messages are ready and no consumer takes them",
                "warning held_long queue 'shop/q': 's/w' holds message 8 for 2h",
                "warning unroutable the default exchange of 'shop': 2 of 5 messages that came to it since the start reached no queue",
                "info auto_ack consumer 'x' of 's' at queue 'shop/q': its messages count as done when they are sent: "
                    + "what it has not worked off is lost with it",
                "info unbound exchange 'shop/e': nothing is bound to it: what is published to it is dropped",
                "info unseen vhost 'two words': it can't be looked at: refused",
            ])
        let advice = DoctorRules.findings(in: hosts).map(\.advice)
        #expect(advice.filter { $0.contains("(with --vhost shop)") }.count == 1)
        #expect(advice.last?.hasSuffix("--vhost 'two words'") == true)
    }

    @Test func `faults of the server are found`() throws {
        let status =
            #"{"now":"2027-01-15T08:00:10.000Z","alarms":["the disk is full"],"disk_free_bytes":1048576}"#
        #expect(
            found(try facts(status: status)) == [
                "critical alarm server: the disk is full",
                "warning disk server: 1 MiB are free on the disk of the database",
                "info clock server: its clock is 10s ahead of this machine's",
            ])
    }

    @Test func `a report says below each fault what to do`() {
        let finding = DoctorFinding(
            rule: "disk", severity: .warning, subject: "server", text: "little is free", advice: "make room")
        #expect(
            DoctorCommand.report([finding], colour: false)
                == "warning   server: little is free\n          make room")
    }
}
