// The AMQP session makes the same of its bytes however they are cut.

import LeveretTestSupport
import LeveretWire
import NIOCore
import Testing

@Suite struct AMQPSplitTests {
    /// A bit of everything: methods, a body in several frames, an empty one, properties, heartbeats, two channels.
    private static var conversation: [UInt8] {
        let client = AMQPRecording()
        client.startOk()
        client.tuneOk(frameMax: 4096)
        client.call(10, 40, .short("/"), .short(""), .octet(0))
        for channel in [1, 2] as [UInt16] { client.call(20, 10, .short(""), on: channel) }
        client.call(
            50, 10, .int16(0), .short("q"), .octet(2), .table([("x-max-length", .int(9))]), on: 1)
        client.call(85, 10, .octet(0), on: 1)
        client.publish("hello", to: "q")
        client.frame(8, [], on: 0)
        client.publish("", to: "q", properties: [0x80, 0, 1, 0x61], on: 2)
        client.publish(String(repeating: "x", count: 4200), to: "q", mandatory: true)
        client.call(60, 80, .int64(1), .octet(1), on: 2)
        client.call(60, 70, .int16(0), .short("q"), .octet(0), on: 1)
        client.call(20, 40, .int16(200), .short(""), .int32(0), on: 2)
        client.call(10, 50, .int16(200), .short(""), .int32(0))
        return client.bytes
    }

    private static func talk(
        _ pieces: [ArraySlice<UInt8>]
    ) -> (said: [String], out: [UInt8], isFinished: Bool) {
        var talk = AMQPTalk()
        for piece in pieces { talk.send(piece) }
        return (talk.said, Array(talk.out.readableBytesView), talk.session.isFinished)
    }

    @Test func `any split of the bytes gives the same requests and answers`() {
        let bytes = Self.conversation
        // Confirms are told together where they come together, so the whole is what one byte at a time gives.
        let whole = Self.talk(bytes.indices.map { bytes[$0...$0] })
        #expect(whole.isFinished)
        #expect(whole.said.count == 9)
        for cut in stride(from: 1, to: bytes.count, by: 3) {
            let cutOnce = Self.talk([bytes[..<cut], bytes[cut...]])
            #expect(cutOnce.said == whole.said, "cut at \(cut)")
            #expect(cutOnce.isFinished)
        }
    }

    @Test func `the bytes of a split conversation come out the same, too`() {
        let bytes = Self.conversation
        let whole = Self.talk(bytes.indices.map { bytes[$0...$0] })
        for size in [2, 3, 5, 7, 8, 9, 64, 1000] {
            let pieces = stride(from: 0, to: bytes.count, by: size).map {
                bytes[$0..<min(bytes.count, $0 + size)]
            }
            let split = Self.talk(pieces)
            #expect(split.said == whole.said)
            #expect(split.out == whole.out, "in pieces of \(size)")
        }
    }
}
