import LeveretCore
import LeveretTestSupport
import LeveretWire
import NIOCore
import Testing

@Suite struct LineDecoderTests {
    /// Requests of every shape, good and bad, that leave the connection open.
    private static let stream: [UInt8] =
        Array(
            """
            PUB "" jobs :hello world
            PUB "" jobs {5}
            a\nb\nc
            #t1 pub logs a.b id=7 h.n=5 h."my header"=json:"{\\"a\\":[1,2.5,null]}" {0}

            PUB e transient transient :x
            ACK 7 multiple
            ACK 7\r
            NACK 3 {3}
            abc
            FOO {4}
            PUB

            PUB e {5} :x
            PUB e "k\\x41\\n" {2}\r
            \r\n\r
            QUEUE jobs ttl=60000 dead-letter-exchange=""
            QUEUE "open
            LIST queues match="a*"
            PUB ünï cödé :späß
            PUB "" jobs transient {12}
            twelve bytes
            PING

            """.utf8
        )

    private static func decode(_ pieces: [[UInt8]]) -> [String] {
        var decoder = LineDecoder(limits: LineLimits())
        var inputs: [String] = []
        for piece in pieces {
            decoder.received(ByteBuffer(bytes: piece))
            while let input = decoder.next() {
                // Whether messages share their properties is no part of what a line means.
                inputs.append(described(input).replacing("isRepeated: true", with: "isRepeated: false"))
            }
        }
        return inputs
    }

    @Test func `any split of the stream gives the same requests`() {
        let stream = Self.stream
        let whole = Self.decode([stream])
        #expect(whole.count == 16)
        #expect(Self.decode(stream.map { [$0] }) == whole)
        for index in 1..<stream.count {
            #expect(
                Self.decode([Array(stream[..<index]), Array(stream[index...])]) == whole,
                "split at \(index)"
            )
        }
    }

    @Test func `pieces of any size that arrive before anything is decoded give the same requests`() {
        let stream = Self.stream
        for size in [1, 2, 3, 7, 16, 61] {
            var decoder = LineDecoder(limits: LineLimits())
            for start in stride(from: 0, to: stream.count, by: size) {
                decoder.received(ByteBuffer(bytes: stream[start..<min(start + size, stream.count)]))
            }
            var inputs: [String] = []
            while let input = decoder.next() { inputs.append(described(input)) }
            #expect(inputs == Self.decode([stream]))
            #expect(!decoder.isInsideRequest)
        }
    }

    @Test(arguments: [
        #"PUB "" jobs {5}"#, "PUB e k :x", "PUB a.b c=d {3}", "PUB e transient {1}",
        "PUB e k transient :x y ",
        "ACK 5", "ACK 0 multiple", "PUB {4} {5}", "PUB e #k :", "PUB e k transient{1} {1}",
        "ACK 18446744073709551616",
        "ACK 5  multiple", "PUB  e k :x", #"PUB "" "" :x"#, "PUB e k transient", "PUB e k {3", "PUB e k",
        "PUB e :x",
        "PUB e k {99999999999}", "PUB e k {-1}", "PUB e k {}", "PUB e k {007}", "ACK", "ACK x",
        "PUB e k\t :x", "PUB e k priority=3 :x", "PUB e k priority=256 :x", "PUB e k priority= :x",
        "PUB e k priority=1 priority=2 :x", "PUB e k transient priority=0 delay=5 id=a=b {4}",
        "PUB e k id=ab transient {4}", "PUB e k id= {4}", "PUB e k id=a\"b\" {4}", "PUB e k id=a\\x20 {4}",
        "PUB e k id=é :x", "PUB e k id=\u{1} :x", "PUB e k id=:x :y", "PUB e k id={4} {4}", "PUB e k id=1",
        "PUB e k delay=4294967295 :x", "PUB e k delay=4294967296 :x", "PUB e k delay=007 :x",
        "PUB e k delay=1 delay=1 :x", "PUB e k delay=1 h.x-delay=2 :x", "PUB e k delay=-1 :x",
        "PUB e k transient transient :x", "PUB e k priority=3", "PUB e k priority=3 ",
        "PUB e k priority=3  :x",
        "PUB e k id=\(String(repeating: "i", count: 255)) :x",
        "PUB e k id=\(String(repeating: "i", count: 256)) :x",
    ])
    func `the short way understands a line as the long way does`(line: String) {
        let body = Array("\n0123456789\n".utf8)
        // A space at the front keeps a line from the short way and changes nothing else.
        let short = Self.decode([Array(line.utf8) + body])
        let long = Self.decode([Array((" " + line).utf8) + body])
        #expect(short.first == long.first)
    }

    @Test func `options that come again mean what they meant at first`() {
        let options = [
            "", "priority=3 ", "priority=4 ", "delay=3 ", "delay=13 priority=3 ", "transient ", "id=3 ",
        ]
        let lines = (0..<3).flatMap { _ in options + options.reversed() }.map { "PUB e k \($0):x" }
        let short = Self.decode([Array(lines.map { $0 + "\n" }.joined().utf8)])
        let long = Self.decode([Array(lines.map { " " + $0 + "\n" }.joined().utf8)])
        #expect(short == long)
        #expect(short.count == lines.count)
    }

    @Test func `random bytes are refused and never crash`() {
        var generator = SplitMix64(seed: 20_260)
        let words = [
            "PUB", "ACK", "GET", "#t", " ", "\n", "\r\n", "{", "}", "5", "{5}", "\"", "\\x4", ":", "=", "h.a",
            "x-b=1",
            "ttl=", "json:", "[", "é", "\u{0}", "-1", "9223372036854775808", "QUEUE", "MOVE", "to", "PEEK",
        ].map { Array($0.utf8) }
        for _ in 0..<3000 {
            var bytes: [UInt8] = []
            for _ in 0..<Int(generator.next() % 40) {
                if generator.next() % 5 == 0 {
                    bytes.append(UInt8(truncatingIfNeeded: generator.next()))
                } else {
                    bytes += words[Int(generator.next() % UInt64(words.count))]
                }
            }
            let cut = bytes.isEmpty ? 0 : Int(generator.next() % UInt64(bytes.count))
            #expect(
                Self.decode([bytes]) == Self.decode([Array(bytes[..<cut]), Array(bytes[cut...])]),
                "\(bytes)"
            )
        }
    }
}
