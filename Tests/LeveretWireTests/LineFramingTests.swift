import LeveretCore
import LeveretWire
import NIOCore
import Testing

@Suite struct LineFramingTests {
    private static let limits: LineLimits = {
        var limits = LineLimits()
        limits.bodyBytesMax = 10
        limits.bodyBytesHardCap = 20
        return limits
    }()

    /// What is said to a talk, and whether it is over then.
    private static func reply(to text: String, limits: LineLimits = limits) -> (said: String, isOver: Bool) {
        var talk = Talk(limits: limits)
        let said = talk.send(text)
        return (said, talk.session.isFinished)
    }

    @Test(arguments: [
        ("FROB {4}\nPING\nPING\n", "503"), ("PUB e {4}\nPING\nPING\n", "502"), ("GET q {0}\n\nPING\n", "502"),
        ("FROB {4}\r\nPING\r\nPING\r\n", "503"), ("PUB e k {11}\n01234567\n89\nPING\n", "406"),
        ("PUB e k {20}\n0123456789\nPING\nPING\nPING\n", "406"), ("BACKUP {2}\n\n\n\nPING\n", "540"),
    ])
    func `the body of a refused request is skipped and the talk stays in step`(text: String, code: String) {
        var talk = Talk(limits: Self.limits)
        var said = ""
        for byte in text.utf8 { said += talk.send([byte]) }
        let whole = Self.reply(to: text)
        #expect(said == whole.said && !whole.isOver)
        #expect(said.hasPrefix("ERR \(code) ") && said.hasSuffix("\nOK\n"))
        #expect(said.split(separator: "\n").count == 2)
    }

    @Test(arguments: ["{0}\n\n", "{000}\n\n", "{10}\n0123456789\n", "{10}\r\n0123456789\r\n", "{1}\n\n\n"])
    func `a body of so many bytes is taken`(body: String) {
        #expect(Self.reply(to: "PUB e k \(body)PING\n").said == "OK 1\nOK\n")
        #expect(Self.reply(to: "PUB e k id=1 \(body)PING\n").said == "OK 1\nOK\n")
        #expect(Self.reply(to: "#t PUB e k \(body)").said == "#t OK 1\n")
    }

    @Test(arguments: [
        ("PUB e k {}\n", "plain decimal in braces, not {}"), ("PUB e k {x}\n", "not {x}"),
        ("PUB e k {-1}\n", "not {-1}"), ("PUB e k {1.5}\n", "not {1.5}"), ("PUB e k {+1}\n", "not {+1}"),
        ("PUB e k {0x1}\n", "not {0x1}"), ("PUB e k {1\"\"}\n", "plain decimal"),
        ("FROB {½}\n", "plain decimal"),
        ("PUB e k {21}\n", "{21} bytes is over the cap of 20"),
        ("PUB e k {9223372036854775808}\n", "over the cap"),
        ("PUB e k {99999999999999999999}\n", "over the cap"),
        ("PUB e k {2}\nxyz\n", "the bytes after the body are not an end of line"),
        ("PUB e k {2}\nxy\rz", "not an end of line"), ("FROB {2}\nxyz\n", "not an end of line"),
        ("PUB \"e k {5}\n", "a quote is open"), ("PUB \"\\q\" {5}\n", "escapes"),
        ("# PING {5}\n", "a tag is #"),
        ("#\(String(repeating: "t", count: 33)) PING {1}\n", "a tag is #"),
    ])
    func `where nobody can know what follows the talk ends`(text: String, says: String) {
        let (said, isOver) = Self.reply(to: text + "PING\n")
        #expect(
            said.contains("ERR 501 FRAME_ERROR ") && said.contains(says) && said.hasSuffix("; closing\n"),
            "\(said)")
        #expect(said.split(separator: "\n").count == 1 && isOver)
    }

    @Test func `a line that is not UTF-8 is refused, and closes where a body may follow`() {
        var talk = Talk()
        #expect(
            talk.send(Array("PUB e ".utf8) + [0xFF] + Array(" :x\nPING\n".utf8)).hasSuffix("as {N}\nOK\n"))
        #expect(talk.send(Array("PUB e ".utf8) + [0xFF] + Array(" {1}\n".utf8)).hasPrefix("ERR 501"))
        #expect(talk.session.isFinished)
    }

    @Test(arguments: [("", "\n"), ("", "\r\n"), ("#t ", "\n")])
    func `a line of 8,192 bytes is taken, one more is not`(tag: String, end: String) {
        let start = "\(tag)PUB e k :"
        let full = start + String(repeating: "x", count: 8192 - start.utf8.count)
        #expect(Self.reply(to: full + end, limits: LineLimits()).said == "\(tag)OK 1\n")
        let over = Self.reply(to: full + "x" + end, limits: LineLimits())
        #expect(
            over.said.hasPrefix("ERR 501 FRAME_ERROR the line is longer than 8192 bytes; send what is long"))
        #expect(over.isOver)
        // Without its end, too: nobody waits for it.
        #expect(Self.reply(to: full + "xy", limits: LineLimits()).isOver)
        #expect(!Self.reply(to: full, limits: LineLimits()).isOver)
    }

    @Test(arguments: ["t", "!~{}=:#", String(repeating: "t", count: 32)])
    func `a tag has 1 to 32 visible characters`(tag: String) {
        #expect(Self.reply(to: "#\(tag) PING\n  #\(tag)   PING  \n").said == "#\(tag) OK\n#\(tag) OK\n")
    }

    @Test(arguments: ["", "ta\"g", "tä", String(repeating: "t", count: 33), "t\tx", "t\u{7f}"])
    func `other tags are refused`(tag: String) {
        let said = Self.reply(to: "#\(tag) PING\nPING\n").said
        #expect(said.hasPrefix("ERR 502 SYNTAX_ERROR a tag is # and 1 to 32 visible ASCII characters"))
        #expect(said.hasSuffix("\nOK\n"))
    }

    @Test(arguments: [
        ("PUB e k :a  b ", "a  b "), ("PUB e k : x", " x"), ("PUB e k :", ""), ("PUB e k :{5}", "{5}"),
        ("PUB e k ::\"half", ":\"half"), ("PUB e k transient :é\r", "é"), ("PUB \":e\" \"{k}\" :x", "x"),
        ("PUB e k h.a=:b :c", "c"), ("pub  e  k  :d", "d"),
    ])
    func `an inline body is the rest of the line`(line: String, body: String) {
        var talk = Talk()
        #expect(talk.send(line + "\n") == "OK 1\n")
        guard case .publish(let message, _) = talk.submissions.last?.request else {
            Issue.record("no message was published")
            return
        }
        #expect(message.body == Array(body.utf8))
    }

    @Test(arguments: ["PUB e", "PUB e k {5}\nab", "PUB e k {5}\nabcde", "FROB {5}\nab", "FROB {5}\nabcde"])
    func `half a request then the end runs nothing of it`(half: String) {
        var talk = Talk()
        #expect(talk.send("PING\n" + half) == "OK\n")
        #expect(talk.session.isInsideRequest && talk.submissions.isEmpty)
        var out = ByteBuffer()
        talk.session.inputEnded(out: &out)
        #expect(String(buffer: out).hasPrefix("ERR 501 FRAME_ERROR the connection ended within a request"))
        #expect(talk.session.isFinished && talk.submissions.isEmpty)
    }

    @Test func `reading stops at the limits of replies that wait, one before it does not`() {
        var limits = LineLimits()
        limits.taggedWaitingMax = 2
        limits.heldReplyBytesMax = 8
        var talk = Talk(limits: limits)
        talk.answersAtOnce = false
        _ = talk.send("#a ACK 1\n")
        #expect(talk.session.wantsBytes)
        _ = talk.send("#b ACK 2\n#c ACK 3\n")
        #expect(!talk.session.wantsBytes && talk.submissions.count == 2)
        #expect(talk.hear(.answer(talk.submissions[1].ticket, .done)) == "#b OK\n")
        #expect(talk.run() == "" && talk.submissions.count == 3)
        _ = talk.hear(.answer(talk.submissions[0].ticket, .done), .answer(talk.submissions[2].ticket, .done))
        // Finished replies that wait for an earlier one: 3 bytes each.
        _ = talk.send("GET q wait=9\nPING\nPING\n")
        #expect(talk.session.wantsBytes)
        _ = talk.send("PING\n")
        #expect(!talk.session.wantsBytes)
        #expect(talk.hear(.answer(talk.submissions[3].ticket, .empty)) == "NIL\nOK\nOK\nOK\n")
        #expect(talk.session.wantsBytes)
    }
}
