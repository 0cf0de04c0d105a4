// What the server says of itself in connection.start: clients branch on it.

import LeveretCore
import LeveretWire
import NIOCore
import Testing

@Suite struct AMQPGreetingTests {
    @Test(arguments: [(false, "AMQPLAIN PLAIN"), (true, "AMQPLAIN PLAIN EXTERNAL")])
    func `the server says of itself what clients look for`(knowsClient: Bool, mechanisms: String) throws {
        var session = AMQPSession(version: "9.8", knowsClient: knowsClient)
        session.received(ByteBuffer(bytes: Array("AMQP".utf8) + [0, 0, 9, 1]))
        var (submissions, out) = ([Submission](), ByteBuffer())
        #expect(session.step(into: &submissions, out: &out) == .needsBytes)
        // Behind the frame's head, the method's number and the version.
        out.moveReaderIndex(forwardBy: 13)
        let size: UInt32 = try #require(out.getInteger(at: out.readerIndex))
        let bytes = out.readBytes(length: Int(size) + 4)
        let table = try FieldTableCodec.decode(try #require(bytes))
        #expect(table["product"] == "RabbitMQ" && table["version"] == "3.13.0")
        #expect(table["platform"] == "Leveret 9.8" && table["leveret_version"] == "9.8")
        for name in ["copyright", "information", "cluster_name"] {
            guard case .string? = table[name] else {
                Issue.record("\(name) is no string")
                continue
            }
        }
        var capabilities: FieldTable = [:]
        for name in [
            "publisher_confirms", "exchange_exchange_bindings", "basic.nack", "consumer_cancel_notify",
            "connection.blocked", "consumer_priorities", "authentication_failure_close", "per_consumer_qos",
            "direct_reply_to",
        ] {
            capabilities[name] = true
        }
        #expect(table["capabilities"] == .table(capabilities))
        let length: UInt32 = out.readInteger() ?? 0
        let named = out.readString(length: Int(length))
        #expect(named == mechanisms)
    }
}
