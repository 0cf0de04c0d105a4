// What RabbitMQ 3.10.8 answers to odd and wrong requests, and Leveret with it: one line for each.

import LeveretTestSupport
import Testing

/// A request and what comes of it.
struct AMQPCase: Sendable, CustomTestStringConvertible {
    let name: String
    /// What the server says, in order.
    let expected: [String]
    /// Run before, and answered.
    let prepare: @Sendable (AMQPSocket) throws -> Void
    let request: @Sendable (AMQPSocket) -> Void

    var testDescription: String { name }

    init(
        _ name: String, _ expected: String...,
        before: @escaping @Sendable (AMQPSocket) throws -> Void = { _ in },
        _ request: @escaping @Sendable (AMQPSocket) -> Void
    ) {
        self.name = name
        self.expected = expected
        prepare = before
        self.request = request
    }
}

@Suite struct AMQPAnswersTests {
    @Test(arguments: connection + channels + declarations + deletions + consuming + publishing + transactions)
    func `an odd request is answered as by RabbitMQ`(_ odd: AMQPCase) async throws {
        try await withServer { port in
            let client = try AMQPSocket(port: port)
            try odd.prepare(client)
            odd.request(client)
            for expected in odd.expected { #expect(try client.next() == expected) }
        }
    }

    static let connection: [AMQPCase] = [
        AMQPCase(
            "channel.open twice", "connection.close 504 CHANNEL_ERROR - second 'channel.open' seen 20 10"
        ) { $0.openChannel(1) },
        AMQPCase(
            "a method on a channel never opened",
            "connection.close 504 CHANNEL_ERROR - expected 'channel.open' 50 10"
        ) { $0.declareQueue("q", on: 2) },
        AMQPCase(
            "channel.close twice", "channel.close-ok",
            "connection.close 504 CHANNEL_ERROR - expected 'channel.open' 20 40"
        ) {
            $0.closeChannel()
            $0.closeChannel()
        },
        AMQPCase(
            "frame with a wrong end octet",
            "connection.close 501 FRAME_ERROR - type 1, all octets = <<0,20,0,10>>: {invalid_frame_end_marker,0} 0 0"
        ) { $0.frame(1, [0, 20, 0, 10], on: 1, end: 0) },
        AMQPCase(
            "frame of unknown type 9",
            "connection.close 501 FRAME_ERROR - type 9, all octets = <<>>: unknown_frame 0 0"
        ) { $0.frame(9, [], on: 1) },
        AMQPCase(
            "frame larger than frame_max",
            "connection.close 501 FRAME_ERROR - type 3, all octets = <<>>: {frame_too_large,140000,131064} 0 0"
        ) { $0.frame(3, [UInt8](repeating: 0, count: 140_000), on: 1) },
        AMQPCase(
            "unknown class/method 60/200", "connection.close 501 FRAME_ERROR - cannot decode <<>> 60 200"
        ) { $0.call(60, 200, on: 1) },
        AMQPCase(
            "body frame without a publish",
            "connection.close 505 UNEXPECTED_FRAME - expected method frame, got non method frame instead 0 0"
        ) { $0.frame(3, [1], on: 1) },
        AMQPCase(
            "a method where the content header is due",
            "connection.close 505 UNEXPECTED_FRAME - expected content header for class 60, "
                + "got non content header frame instead 60 40"
        ) {
            $0.call(60, 40, .int16(0), .short(""), .short("q"), .octet(0), on: 1)
            $0.declareQueue("q")
        },
        AMQPCase(
            "heartbeat frame on channel 1",
            "connection.close 505 UNEXPECTED_FRAME - type 8, all octets = <<>> 0 0"
        ) { $0.frame(8, [], on: 1) },
        AMQPCase("connection.update-secret", "connection.update-secret-ok") {
            $0.call(10, 70, .long("new"), .short("why"))
        },
        AMQPCase("connection.close by the client", "connection.close-ok", "closed") { $0.closeConnection() },
    ]

    static let channels: [AMQPCase] = [
        AMQPCase(
            "methods after the server's channel.close are dropped until close-ok, then the number is free",
            "channel.open-ok ''", "queue.declare-ok q 0 0",
            before: {
                $0.declareQueue("nope", passive: true)
                try $0.expect("channel.close 404 NOT_FOUND - no queue 'nope' in vhost '/' 50 10")
            }
        ) {
            $0.declareQueue("dropped")
            $0.publish("dropped", to: "q")
            $0.closeOk()
            $0.openChannel(1)
            $0.declareQueue("q")
        },
        AMQPCase("channel.flow active=true", "channel.flow-ok true") { $0.flow(true) },
        AMQPCase(
            "channel.flow active=false", "connection.close 540 NOT_IMPLEMENTED - active=false 20 20"
        ) { $0.flow(false) },
        AMQPCase(
            "a reply text above 255 octets is cut",
            "channel.close 404 NOT_FOUND - no queue '" + String(repeating: "n", count: 230) + "... 50 10"
        ) { $0.declareQueue(String(repeating: "n", count: 255), passive: true) },
    ]

    private static func refused(_ name: String, _ argument: (String, AMQPField), _ why: String) -> AMQPCase {
        AMQPCase(
            name,
            "channel.close 406 PRECONDITION_FAILED - invalid arg '\(argument.0)' for queue 'q' in vhost '/': \(why) 50 10"
        ) { $0.declareQueue("q", [argument]) }
    }

    static let declarations: [AMQPCase] = [
        AMQPCase(
            "declare amq.foo",
            "channel.close 403 ACCESS_REFUSED - queue name 'amq.foo' contains reserved prefix 'amq.*' 50 10"
        ) { $0.declareQueue("amq.foo") },
        AMQPCase(
            "passive declare of a missing queue",
            "channel.close 404 NOT_FOUND - no queue 'nope' in vhost '/' 50 10"
        ) { $0.declareQueue("nope", passive: true) },
        AMQPCase(
            "redeclare with another durable",
            "channel.close 406 PRECONDITION_FAILED - inequivalent arg 'durable' for queue 'q' in vhost '/': "
                + "received 'true' but current is 'false' 50 10", before: { try $0.haveQueue("q") }
        ) { $0.declareQueue("q", durable: true) },
        AMQPCase(
            "redeclare exclusive queue as not exclusive, same connection",
            "channel.close 405 RESOURCE_LOCKED - cannot obtain exclusive access to locked queue 'q' in vhost '/'. "
                + "It could be originally declared on another connection or the exclusive property value does not "
                + "match that of the original declaration. 50 10",
            before: {
                $0.declareQueue("q", exclusive: true)
                try $0.expect("queue.declare-ok")
            }
        ) { $0.declareQueue("q", durable: true) },
        AMQPCase(
            "redeclare with x-max-length where there was none",
            "channel.close 406 PRECONDITION_FAILED - inequivalent arg 'x-max-length' for queue 'q' in vhost '/': "
                + "received the value '5' of type 'long' but current is none 50 10",
            before: { try $0.haveQueue("q") }
        ) { $0.declareQueue("q", [("x-max-length", .byte(5))]) },
        AMQPCase(
            "redeclare with the same x-max-length as another integer width", "queue.declare-ok q 0 0",
            before: { try $0.haveQueue("q", [("x-max-length", .byte(5))]) }
        ) { $0.declareQueue("q", [("x-max-length", .int(5))]) },
        AMQPCase(
            "redeclare with x-message-ttl 10.0 where it was 10",
            "channel.close 406 PRECONDITION_FAILED - invalid arg 'x-message-ttl' for queue 'q' in vhost '/': "
                + "\"expected integer, got double\" 50 10",
            before: { try $0.haveQueue("q", [("x-message-ttl", .int(10))]) }
        ) { $0.declareQueue("q", [("x-message-ttl", .double(10))]) },
        AMQPCase(
            "redeclare with other arguments that mean nothing, and a classic queue as such",
            "queue.declare-ok q 0 0", "queue.declare-ok q 0 0",
            before: { try $0.haveQueue("q", [("x-mine", .int(1))]) }
        ) {
            $0.declareQueue("q", [("x-yours", .bool(true))])
            $0.declareQueue("q", [("x-queue-type", .text("classic"))])
        },
        AMQPCase(
            "redeclare an exchange with other arguments that mean nothing, then with one that does",
            "exchange.declare-ok",
            "channel.close 406 PRECONDITION_FAILED - inequivalent arg 'alternate-exchange' for exchange 'e' in vhost "
                + "'/': received the value 'amq.fanout' of type 'longstr' but current is none 40 10",
            before: {
                $0.declareExchange("e", "direct", [("mine", .text("foo"))])
                try $0.expect("exchange.declare-ok")
            }
        ) {
            $0.declareExchange("e")
            $0.declareExchange("e", "direct", [("alternate-exchange", .text("amq.fanout"))])
        },
        AMQPCase(
            "line ends in names", "queue.declare-ok q-1 0 0", "exchange.declare-ok", "queue.bind-ok",
            "queue.unbind-ok", "queue.declare-ok q-1 0 0", "queue.delete-ok 0", "exchange.delete-ok",
            "channel.close 404 NOT_FOUND - no exchange 'e-1' in vhost '/' 40 10"
        ) {
            $0.declareQueue("q\r\n-\r1\n")
            $0.declareExchange("e\n-1")
            $0.bindQueue("q\r-1", to: "e-\n1")
            $0.unbindQueue("q\r-1", from: "e-\n1")
            $0.declareQueue("\nq-1", passive: true)
            $0.deleteQueue("q-1\r\n")
            $0.deleteExchange("\ne-1")
            $0.declareExchange("e-1", passive: true)
        },
        refused("x-message-ttl negative", ("x-message-ttl", .int(-70_000)), "{value_negative,-70000}"),
        refused(
            "x-message-ttl a string", ("x-message-ttl", .text("1")), "\"expected integer, got longstr\""),
        refused("x-message-ttl 10.0", ("x-message-ttl", .double(10)), "\"expected integer, got double\""),
        refused("x-expires 0", ("x-expires", .int(0)), "{value_zero,0}"),
        refused("x-overflow unknown", ("x-overflow", .text("nope")), "invalid_overflow"),
        refused("x-max-priority 256", ("x-max-priority", .int(256)), "{max_value_exceeded,256}"),
        refused("x-queue-type unknown", ("x-queue-type", .text("foo")), "\"unsupported queue type 'foo'\""),
        refused(
            "x-dead-letter-routing-key without an exchange", ("x-dead-letter-routing-key", .text("k")),
            "routing_key_but_no_dlx_defined"),
        AMQPCase(
            "x-queue-type quorum, exclusive",
            "channel.close 406 PRECONDITION_FAILED - invalid property 'exclusive-owner' for queue 'q' in vhost '/' 50 10"
        ) { $0.declareQueue("q", durable: true, exclusive: true, [("x-queue-type", .text("quorum"))]) },
        AMQPCase(
            "x-queue-type quorum, not durable",
            "channel.close 406 PRECONDITION_FAILED - invalid property 'non-durable' for queue 'q' in vhost '/' 50 10"
        ) { $0.declareQueue("q", [("x-queue-type", .text("quorum"))]) },
        AMQPCase(
            "x-queue-type stream",
            "connection.close 540 NOT_IMPLEMENTED - arg 'x-queue-type' for queue 'q' in vhost '/': streams are not "
                + "implemented 50 10"
        ) { $0.declareQueue("q", durable: true, [("x-queue-type", .text("stream"))]) },
        AMQPCase("an unknown x- argument is taken", "queue.declare-ok q 0 0") {
            $0.declareQueue("q", [("x-unheard-of", .int(1))])
        },
        AMQPCase(
            "exchange.declare with an unknown type",
            "connection.close 503 COMMAND_INVALID - unknown exchange type 'nosuch' 40 10"
        ) { $0.declareExchange("e", "nosuch") },
        AMQPCase(
            "exchange.declare of the empty name",
            "channel.close 403 ACCESS_REFUSED - operation not permitted on the default exchange 40 10"
        ) { $0.declareExchange("") },
        AMQPCase(
            "exchange.declare amq.foo",
            "channel.close 403 ACCESS_REFUSED - exchange name 'amq.foo' contains reserved prefix 'amq.*' 40 10"
        ) { $0.declareExchange("amq.foo") },
        AMQPCase(
            "exchange.declare passive, missing",
            "channel.close 404 NOT_FOUND - no exchange 'nope' in vhost '/' 40 10"
        ) { $0.declareExchange("nope", "", passive: true) },
        AMQPCase("exchange.declare amq.direct as it is", "exchange.declare-ok") {
            $0.declareExchange("amq.direct", durable: true)
        },
        AMQPCase(
            "exchange.declare amq.direct as fanout",
            "channel.close 406 PRECONDITION_FAILED - inequivalent arg 'type' for exchange 'amq.direct' in vhost '/': "
                + "received 'fanout' but current is 'direct' 40 10"
        ) { $0.declareExchange("amq.direct", "fanout", durable: true) },
    ]
}
