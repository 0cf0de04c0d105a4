// A message as JSON, and back.

import LeveretCore
import Testing

@testable import LeveretWire

@Suite struct MessageDocumentTests {
    private func peeked(_ message: Message, due: Instant? = nil, deaths: DeathHistory? = nil) -> PeekedMessage
    {
        PeekedMessage(
            number: 7, state: due == nil ? .ready : .delayed, message: message, entered: 1_000, expires: nil,
            due: due, deliveries: 3, failed: 1, deaths: deaths)
    }

    @Test func `a large body is text where that is no longer than base64`() throws {
        for (byte, count, isText) in [
            (UInt8(1), 10, true), (1, 100_000, false), (0x0A, 100_000, false), (0x78, 100_000, true),
            (0xFF, 10, false),
        ] {
            let message = Message(exchange: "", routingKey: "q", body: Array(repeating: byte, count: count))
            let line = MessageDocument.write(peeked(message), in: "q")
            #expect(line.contains(isText ? #""body":"# : #""body64":"#))
            #expect(count < 100 || line.utf8.count < count * 3 / 2)
            #expect(try MessageDocument.read(Array(line.utf8), for: "q").message.body == message.body)
        }
    }

    @Test func `all that a message is comes back`() throws {
        var properties = MessageProperties()
        properties.headers = [
            "n": 5, "text": "a \"b\"\n", "yes": true, "none": .void, "list": .array([1, .double(2.5)]),
            "table": .table(["x": 1]),
        ]
        (properties.messageID, properties.type, properties.replyTo) = ("7", "resize", "answers")
        (properties.correlationID, properties.contentType) = ("c", "text/plain")
        (properties.contentEncoding, properties.userID, properties.appID) = ("gzip", "u", "a")
        (properties.clusterID, properties.expiration, properties.priority) = ("k", "60000", 3)
        properties.timestamp = 1_700_000_000
        let death = Death(
            queue: "q", reason: .expired, count: 2, exchange: "e", routingKeys: ["k", "c"], time: 900,
            originalExpiration: "5")
        let deaths = DeathHistory(
            deaths: [death], originQueue: "first", firstReason: .rejected, firstExchange: "x", firstTime: 500,
            lastTime: 950, errorText: "why", copies: 4)
        let message = Message(
            exchange: "events", routingKey: "k", properties: properties, isPersistent: false,
            body: Array("hé".utf8))
        let line = MessageDocument.write(peeked(message, due: 9_000, deaths: deaths), in: "q")
        #expect(
            line.hasPrefix(#"{"queue":"q","exchange":"events","key":"k","properties":{"delivery_mode":1,"#))
        let back = try MessageDocument.read(Array(line.utf8), for: "other")
        #expect(back.queue == "other" && back.due == 9_000 && back.deaths == deaths)
        #expect(back.message.properties == properties && !back.message.isPersistent)
        #expect(back.message.exchange == "events" && back.message.routingKey == "k")
        #expect(back.message.body == Array("hé".utf8))
    }

    @Test(arguments: 0...9)
    func `bodies that are no text come back byte for byte`(count: Int) throws {
        let body = [UInt8](0..<UInt8(count)).map { $0 | 0x80 }
        let message = Message(exchange: "", routingKey: "q", properties: nil, body: body)
        let line = MessageDocument.write(peeked(message), in: "q")
        #expect(line.contains(count == 0 ? "\"body\":\"\"" : "\"body64\":"))
        let back = try MessageDocument.read(Array(line.utf8), for: "q")
        #expect(back.message.body == body && back.message.isPersistent && !back.message.hasProperties)
        #expect(back.deaths == nil && back.due == nil)
    }

    @Test(arguments: [
        ("[]", "not an object"), ("{", "JSON"), ("{}", "needs one of 'body' and 'body64'"),
        (#"{"body":"a","body64":"YQ=="}"#, "needs one of"), (#"{"body":5}"#, "needs one of"),
        (#"{"body64":"YQ"}"#, "'body64'"), (#"{"body64":"Y==="}"#, "'body64'"),
        (#"{"body64":"Y*=="}"#, "'body64'"),
        (#"{"body64":"YQ==YQ=="}"#, "'body64'"), (#"{"body":"a","key":5}"#, "'key' must be a string"),
        (#"{"body":"a","due":"noon"}"#, "'due' must be a whole number"),
        (#"{"body":"a","properties":{"colour":1}}"#, "'colour'"),
        (#"{"body":"a","properties":{"priority":256}}"#, "'priority' must be 0 to 255"),
        (#"{"body":"a","headers":[]}"#, "'headers' must be an object"),
        (#"{"body":"a","properties":{"delivery_mode":3}}"#, "'delivery_mode' must be 1 or 2"),
        (#"{"body":"a","due":9223372036854775807}"#, "'due' must be milliseconds since 1970"),
        (#"{"body":"a","due":-1}"#, "in years up to 9999"),
        ("{\"body\":\"a\",\"headers\":{\"h\":[\(String(repeating: "1,", count: 70_000))1]}}", "65536 values"),
        (#"{"body":"a","deaths":{"origin":"q"}}"#, "death history"), (#"{"body":"a","x":1}"#, "a field 'x'"),
        ("{\"body\":\"a\",\"key\":\"\(String(repeating: "k", count: 256))\"}", "at most 255 bytes"),
    ])
    func `what is no message is refused by its field`(text: String, says: String) {
        let error = #expect(throws: BrokerError.self) { try MessageDocument.read(Array(text.utf8), for: "q") }
        #expect(
            error?.code == .syntaxError && error?.text.contains(says) == true, "\(String(describing: error))")
    }

    @Test(arguments: [
        (#""origin":"q""#, #""origin":"""#, "'deaths' must be an object whose names"),
        (
            #""queue":"q""#, "\"queue\":\"\(String(repeating: "q", count: 300))\"",
            "whose names have at most 255 bytes"
        ),
        (#""first":5"#, #""first":-1"#, "whose times are"),
        (#""time":6"#, #""time":9223372036854775807"#, "whose times are"),
    ])
    func `a history that can't be is refused`(part: String, other: String, says: String) throws {
        let deaths =
            #"{"origin":"q","reason":"expired","exchange":"","first":5,"last":6,"deaths":["#
            + #"{"queue":"q","reason":"expired","count":1,"exchange":"","keys":["q"],"time":6}]}"#
        func text(_ deaths: String) -> [UInt8] { Array("{\"body\":\"a\",\"deaths\":\(deaths)}".utf8) }
        #expect(try MessageDocument.read(text(deaths), for: "q").deaths != nil)
        let wrong = deaths.replacing(part, with: other)
        let error = #expect(throws: BrokerError.self) { try MessageDocument.read(text(wrong), for: "q") }
        #expect(error?.text.contains(says) == true, "\(String(describing: error))")
    }

    @Test func `a refused import keeps the talk in step`() {
        var talk = Talk()
        let said = talk.send(
            "IMPORT q {2}\n{}\nPING\nIMPORT q :{}\nIMPORT q\nIMPORT q {14}\n{\"body\":\"yes\"}\n")
        let lines = said.split(separator: "\n").map { $0.prefix(7) }
        #expect(lines == ["ERR 502", "OK", "ERR 502", "ERR 502", "OK 1"])
        #expect(talk.submissions.count == 1)
    }

    @Test func `a publish may say all of its message in its body, more than a line can`() throws {
        var talk = Talk()
        let long = String(repeating: "x", count: LineLimits().lineBytesMax)
        let document =
            #"{"queue":"q","key":"old","properties":{"delivery_mode":1,"message_id":"7","priority":3},"#
            + #""headers":{"log":[""# + long + #""]},"due":9,"body64":"aGk="}"#
        let said = talk.send("PUB e k document mandatory {\(document.utf8.count)}\n\(document)\n")
        #expect(said == "OK 1\n")
        guard case .publish(let message, mandatory: true)? = talk.submissions.first?.request else {
            Issue.record("no publish: \(said)")
            return
        }
        #expect(message.exchange == "e" && message.routingKey == "k" && message.body == Array("hi".utf8))
        #expect(message.properties?.messageID == "7" && message.properties?.priority == 3)
        #expect(message.properties?.headers["log"] == .array([.string(long)]))
        #expect(!message.isPersistent)
        for wrong in [" priority=1 :{\"body\":\"\"}", " h.a=1 :{}", " transient :{}", " :{}", " :hello"] {
            #expect(talk.send("PUB e k document\(wrong)\n").hasPrefix("ERR 502"))
        }
    }
}
