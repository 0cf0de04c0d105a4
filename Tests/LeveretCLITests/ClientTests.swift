// Addresses, requests, replies and JSON: everything of the client that needs no socket.

import Testing

@testable import LeveretCLI

@Suite struct ServerAddressTests {
    @Test(arguments: [
        ("leveret://localhost:1234", "localhost:1234"), ("leveret://localhost", "localhost:5672"),
        ("10.0.0.1:7", "10.0.0.1:7"), ("leveret://[::1]:9", "[::1]:9"), ("[::1]", "[::1]:5672"),
        ("::1", "[::1]:5672"),
    ])
    func `an address may leave out the scheme and the port`(url: String, expected: String) throws {
        #expect(try ServerAddress(url).description == expected)
    }

    @Test(arguments: [
        ("http://localhost", "the scheme is 'http'"), ("leveret://", "there is no host"),
        ("leveret://a:0", "'0' is no port"), ("leveret://a:65536", "'65536' is no port"),
        ("leveret://a:-1", "'-1' is no port"), ("leveret://a:x", "'x' is no port"), ("a:", "'' is no port"),
        ("leveret://me@a", "the '@' has no place there"),
        ("[::1]x", "'x' is no port"),
    ])
    func `a wrong address is a usage error that names the wrong part`(url: String, why: String) {
        let failure = #expect(throws: Failure.self) { try ServerAddress(url) }
        #expect(failure?.status == .usage)
        #expect(failure?.text.contains(why) == true)
    }
}

@Suite struct ServerTargetTests {
    @Test(arguments: [
        ("leveret://a:7/shop", "a:7", "shop"), ("leverets://a/%2F", "leverets://a:5671", "/"),
        ("a/b%20c%c3%A9", "a:5672", "b c\u{E9}"), ("leveret://[::1]:9/", "[::1]:9", "/"),
        ("a", "a:5672", "/"),
        ("unix:/tmp/a/b", "unix:/tmp/a/b", "/"), ("a/%252F", "a:5672", "%2F"), ("a/shop/", "a:5672", "shop"),
        ("amqp://a/shop", "a:5672", "shop"), ("amqp://a", "a:5672", "/"), ("amqp://a/", "a:5672", "/"),
        ("amqp://a//", "a:5672", "/"), ("amqps://a/%2f", "leverets://a:5671", "/"),
        ("amqp://a:7/b%20c?heartbeat=5&x=/y", "a:7", "b c"),
        ("amqps://a?verify=none", "leverets://a:5671", "/"),
        ("a/b?c", "a:5672", "b?c"),
    ])
    func `the path of an address names a virtual host`(url: String, address: String, vhost: String) throws {
        let target = try ServerTarget(url)
        #expect(target.address.description == address && target.virtualHost == vhost)
        #expect(try ServerTarget(url, vhost: "other").virtualHost == "other")
        if let written = target.url() { #expect(try ServerTarget(written) == target) }
        if let written = target.url(as: "ann/b@c:d") {
            let parts = try ServerURL(written)
            #expect(parts.user == "ann/b@c:d" && parts.password == nil)
            #expect(try ServerTarget(parts.address) == target)
        }
    }

    @Test(arguments: [
        ("a/b/c", "has two parts"), ("amqp://a//b", "has two parts"), ("amqp://a/%", "not percent-encoded"),
        ("a/%", "not percent-encoded"), ("a/%2", "not percent-encoded"),
        ("a/%+1", "not percent-encoded"), ("a/%ff", "not percent-encoded"),
    ])
    func `a path that is none is a usage error`(url: String, why: String) {
        let failure = #expect(throws: Failure.self) { try ServerTarget(url) }
        #expect(failure?.status == .usage && failure?.text.contains(why) == true)
    }

    @Test func `a line that is typed names its server and its virtual host`() throws {
        let target = try LiveNames.target(in: ["leveret", "peek", "--vhost", "w", "--url=leveret://a/v"])
        #expect(target.address.description == "a:5672" && target.virtualHost == "w")
        #expect(try LiveNames.target(in: ["leveret", "--url", "a/v", "peek"]).virtualHost == "v")
    }
}

@Suite struct ServerURLTests {
    @Test(
        arguments: [
            ("host", "host", nil, nil), ("leveret://host:1", "leveret://host:1", nil, nil),
            ("app@host:1", "host:1", "app", nil), ("leveret://app@host", "leveret://host", "app", nil),
            ("leverets://app:pa:ss@[::1]:5/", "leverets://[::1]:5/", "app", "pa:ss"),
            ("amqp://app:p%2Fw@host:5672/%2f?heartbeat=9", "amqp://host:5672/%2f?heartbeat=9", "app", "p/w"),
            ("leveret://a%40b:%2F%25@host", "leveret://host", "a@b", "/%"),
            ("leveret://a@b@host", "leveret://host", "a@b", nil),
            ("leveret://app:@host", "leveret://host", "app", ""),
            ("unix:/a@b", "unix:/a@b", nil, nil), ("unix:///a@b", "unix:///a@b", nil, nil),
            ("unix://app@/a@b", "unix:///a@b", "app", nil), ("host/a@b", "host/a@b", nil, nil),
        ] as [(String, String, String?, String?)])
    func `the user is taken out of a URL`(
        url: String, address: String, user: String?, password: String?
    ) throws {
        let parts = try ServerURL(url)
        #expect(parts.address == address && parts.user == user && parts.password == password, "\(parts)")
    }

    @Test(arguments: [
        "@host", "leveret://:secret@host", "leveret://a:se%2cret%zz@host", "a:secret%@host", "%FF:secret@h",
    ])
    func `a URL whose user makes no sense is refused without its password`(url: String) {
        let failure = #expect(throws: Failure.self) { try ServerURL(url) }
        #expect(failure?.status == .usage && failure?.text.contains("cret") == false)
    }
}

@Suite struct LineRequestTests {
    private func line(_ request: LineRequest) -> String { String(decoding: request.bytes, as: UTF8.self) }

    @Test(arguments: [
        ("jobs", "jobs"), ("a.*.#", "a.*.#"), ("", "\"\""), ("#", "\"#\""), (":x", "\":x\""),
        ("{5}", "\"{5}\""),
        ("a=b", "\"a=b\""), ("two words", "\"two words\""), ("q\"\\", "\"q\\\"\\\\\""), ("?", "\"?\""),
        ("a\nb\u{7F}", "\"a\\x0ab\\x7f\""), ("größe", "\"größe\""),
    ])
    func `a name is quoted where it could mean something else`(name: String, written: String) {
        #expect(line(LineRequest("STAT").argument(name)) == "STAT \(written)")
    }

    @Test func `options without a value are left out`() {
        let request = LineRequest("QUEUE").argument("q").word("auto-delete", if: false)
            .option("ttl", 5).option("expires", nil as Int?).option("overflow", "drop-head").option(
                "match",
                nil as String?
            )
        #expect(line(request) == "QUEUE q ttl=5 overflow=drop-head")
    }

    @Test(arguments: [
        ("n=5", "h.\"n\"=5"), ("n=-2.5", "h.\"n\"=-2.5"), ("n=true", "h.\"n\"=true"),
        ("n=null", "h.\"n\"=null"),
        ("n=\"5\"", "h.\"n\"=\"5\""), ("n=", "h.\"n\"=\"\""), ("n=+5", "h.\"n\"=\"+5\""),
        ("n=a=b", "h.\"n\"=\"a=b\""),
        ("n=1e400", "h.\"n\"=\"1e400\""), ("n=nan", "h.\"n\"=\"nan\""), ("n=.5", "h.\"n\"=\".5\""),
        ("my header=x", "h.\"my header\"=\"x\""), ("n=json:[1,2]", "h.\"n\"=json:\"[1,2]\""),
    ])
    func `a header has the type that its value spells`(argument: String, written: String) throws {
        let header = try #require(HeaderArgument(argument))
        #expect(line(LineRequest("PUB").headers([header])) == "PUB \(written)")
    }

    @Test(arguments: ["", "name", "=5", "n=json:", "n=json:{"])
    func `a header without a name, a value or valid JSON is refused`(argument: String) {
        #expect(HeaderArgument(argument) == nil)
    }

    @Test func `a body follows with its length`() {
        var bytes: [UInt8] = []
        LineRequest("PUB").argument("").argument("q").append(to: &bytes, body: [0, 10, 255])
        #expect(bytes == Array("PUB \"\" q {3}\n".utf8) + [0, 10, 255, 10])
    }
}

@Suite struct ReplyTests {
    private func parse(_ line: String) -> (reply: Reply, bodyBytes: Int?)? { Reply.parse(Array(line.utf8)) }

    @Test func `a refusal is taken apart`() throws {
        guard case .refused(let refusal) = parse("ERR 404 NOT_FOUND no queue 'q' in vhost '/'")?.reply else {
            Issue.record("no refusal")
            return
        }
        #expect(refusal == Reply.Refusal(code: 404, name: "NOT_FOUND", text: "no queue 'q' in vhost '/'"))
        #expect(
            Failure(refusal)
                == Failure(
                    .notFound, "no queue 'q' in vhost '/' (404 NOT_FOUND); 'leveret queues' lists them"))
    }

    @Test func `what a refusal quotes can't steer the terminal`() {
        let refusal = Reply.Refusal(code: 406, name: "PRECONDITION_FAILED", text: "no 'a\u{9B}31m\u{202E}'")
        #expect(Failure(refusal).text == "no 'a\\u{9b}31m\\u{202e}' (406 PRECONDITION_FAILED)")
    }

    @Test func `advice is added only where it fits every refusal of its kind`() {
        let inUse = Reply.Refusal(
            code: 405, name: "RESOURCE_LOCKED", text: "database 'a.db' is in use by process 1")
        #expect(Failure(inUse).text == "database 'a.db' is in use by process 1 (405 RESOURCE_LOCKED)")
    }

    @Test(arguments: [
        "", "HTTP/1.1 400 Bad Request", "ERR", "ERR x y z", "ROW", "ROW {", "MSG 1 q", "MSG 1 q e k {x}",
        "MSG 1 q e k {-1}", "MSG 1 q e k {9223372036854775807}", "MSG 1 q \"e k {3}",
    ])
    func `what is no reply is not taken for one`(line: String) { #expect(parse(line) == nil) }

    @Test func `a message has its names unquoted and its headers typed`() throws {
        let line =
            #"MSG 7 "my q" "" a.b redelivered=1 deliveries=2 position=9 id="x y" h.n=5 h."a b"="5" h.t=json:"[\"u\"]" {3}"#
        let (reply, count) = try #require(parse(line))
        guard case .message(let message) = reply else {
            Issue.record("no message")
            return
        }
        #expect(count == 3)
        #expect(message.tag == "7")
        #expect(message.queue == "my q")
        #expect(message.exchange == "")
        #expect(message.key == "a.b")
        #expect(
            message.row.compact
                == #"{"exchange":"","key":"a.b","redelivered":true,"deliveries":2,"position":9,"size":0,"#
                + #""headers":{"n":5,"a b":"5","t":["u"]},"properties":{"id":"x y"},"body":""}"#
        )
    }
}

@Suite struct JSONTests {
    @Test(arguments: [
        "null", "true", "-1.50e3", "\"\"", "[]", "{}", #"{"b":1,"a":[1,{"c":null}],"d":"\"\\\n"}"#,
        "\"größe\"",
    ])
    func `JSON is written as it was read`(text: String) {
        #expect(JSON(text.utf8)?.compact == text)
    }

    @Test func `escapes are undone, pairs of surrogates too`() {
        #expect(JSON(#""\u0041\ud83d\ude00\/\b""#.utf8) == .string("A😀/\u{8}"))
    }

    @Test(arguments: [
        "", "{", "[1,]", "{\"a\"}", "{a:1}", "01x", "007", "-01", "1\u{B}", "tru", "\"\\u12\"", "\"\\ud800\"",
        "\"\n\"", "1 2", "+1",
        "nan",
    ])
    func `what isn't JSON is not read`(text: String) { #expect(JSON(text.utf8) == nil) }

    @Test func `nesting has an end`() {
        let deep = String(repeating: "[", count: 1000) + String(repeating: "]", count: 1000)
        #expect(JSON(deep.utf8) == nil)
    }

    @Test func `bytes go through base64 and back`() {
        for bytes: [UInt8] in [[], [0], [1, 2], [255, 254, 253], [0, 16, 131, 16]] {
            #expect(Base64.decode(Base64.encode(bytes)) == bytes)
        }
        #expect(Base64.encode(Array("resize cat.png".utf8)) == "cmVzaXplIGNhdC5wbmc=")
        #expect(Base64.decode("a*") == nil)
    }
}
