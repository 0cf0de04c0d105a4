// The second half of RabbitMQ's answers: deleting, binding, consuming, publishing and transactions.

import LeveretTestSupport

extension AMQPAnswersTests {
    static let deletions: [AMQPCase] = [
        AMQPCase("queue.delete of a missing queue", "queue.delete-ok 0") { $0.deleteQueue("nope") },
        AMQPCase(
            "queue.purge of a missing queue",
            "channel.close 404 NOT_FOUND - no queue 'nope' in vhost '/' 50 30"
        ) { $0.purge("nope") },
        AMQPCase(
            "queue.bind to a missing exchange",
            "channel.close 404 NOT_FOUND - no exchange 'nope' in vhost '/' 50 20",
            before: { try $0.haveQueue("q") }
        ) { $0.bindQueue("q", to: "nope") },
        AMQPCase(
            "queue.bind of a missing queue",
            "channel.close 404 NOT_FOUND - no queue 'nope' in vhost '/' 50 20"
        ) { $0.bindQueue("nope", to: "amq.direct") },
        AMQPCase(
            "queue.bind to the default exchange",
            "channel.close 403 ACCESS_REFUSED - operation not permitted on the default exchange 50 20",
            before: { try $0.haveQueue("q") }
        ) { $0.bindQueue("q", to: "") },
        AMQPCase(
            "queue.unbind from an exchange that is not there", "queue.unbind-ok",
            before: { try $0.haveQueue("q") }
        ) { $0.unbindQueue("q", from: "nowhere", key: "k") },
        AMQPCase(
            "queue.unbind of a binding never made", "queue.unbind-ok", before: { try $0.haveQueue("q") }
        ) { $0.unbindQueue("q", from: "amq.direct", key: "k") },
        AMQPCase(
            "empty queue name with no queue declared on the channel",
            "channel.close 404 NOT_FOUND - no previously declared queue 60 20"
        ) { $0.consume("") },
        AMQPCase("exchange.delete of a missing exchange", "exchange.delete-ok") { $0.deleteExchange("nope") },
        AMQPCase(
            "exchange.delete amq.direct",
            "channel.close 403 ACCESS_REFUSED - deletion of system exchange 'amq.direct' in vhost '/' not allowed 40 20"
        ) { $0.deleteExchange("amq.direct") },
        AMQPCase(
            "exchange.delete of the default exchange",
            "channel.close 403 ACCESS_REFUSED - operation not permitted on the default exchange 40 20"
        ) { $0.deleteExchange("") },
        AMQPCase(
            "exchange.delete if-unused while bound",
            "channel.close 406 PRECONDITION_FAILED - exchange 'e' in vhost '/' in use 40 20",
            before: {
                try $0.haveQueue("q")
                $0.declareExchange("e")
                try $0.expect("exchange.declare-ok")
                $0.bindQueue("q", to: "e")
                try $0.expect("queue.bind-ok")
            }
        ) { $0.deleteExchange("e", ifUnused: true) },
        AMQPCase(
            "exchange.bind to a missing source",
            "channel.close 404 NOT_FOUND - no exchange 'nope' in vhost '/' 40 30"
        ) { $0.bindExchange("amq.direct", to: "nope") },
        AMQPCase(
            "queue.delete if-empty, not empty",
            "channel.close 406 PRECONDITION_FAILED - queue 'q' in vhost '/' not empty 50 40",
            before: { try $0.haveQueue("q") }
        ) {
            $0.publish("x", to: "q")
            $0.deleteQueue("q", ifEmpty: true)
        },
        AMQPCase(
            "queue.delete if-unused, consumed", "basic.consume-ok t",
            "channel.close 406 PRECONDITION_FAILED - queue 'q' in vhost '/' in use 50 40",
            before: { try $0.haveQueue("q") }
        ) {
            $0.consume("q", as: "t")
            $0.deleteQueue("q", ifUnused: true)
        },
        AMQPCase(
            "queue deleted under a consumer: basic.cancel, and its order against delete-ok",
            "basic.consume-ok t", "queue.delete-ok 0", "basic.cancel t true",
            before: { try $0.haveQueue("q") }
        ) {
            $0.consume("q", as: "t")
            $0.deleteQueue("q")
        },
    ]

    static let consuming: [AMQPCase] = [
        AMQPCase(
            "basic.consume with a tag in use", "basic.consume-ok t",
            "connection.close 530 NOT_ALLOWED - attempt to reuse consumer tag 't' 60 20",
            before: { try $0.haveQueue("q") }
        ) {
            $0.consume("q", as: "t")
            $0.consume("q", as: "t")
        },
        AMQPCase(
            "basic.consume on a queue with an exclusive consumer", "basic.consume-ok t",
            "channel.close 403 ACCESS_REFUSED - queue 'q' in vhost '/' in exclusive use 60 20",
            before: { try $0.haveQueue("q") }
        ) {
            $0.consume("q", as: "t", exclusive: true)
            $0.consume("q", as: "u")
        },
        AMQPCase(
            "exclusive consume where there is a consumer", "basic.consume-ok t",
            "channel.close 403 ACCESS_REFUSED - queue 'q' in vhost '/' in exclusive use 60 20",
            before: { try $0.haveQueue("q") }
        ) {
            $0.consume("q", as: "t")
            $0.consume("q", as: "u", exclusive: true)
        },
        AMQPCase("basic.cancel of an unknown tag", "basic.cancel-ok nope") { $0.cancel("nope") },
        AMQPCase(
            "basic.get of an empty queue", "basic.get-empty ''", before: { try $0.haveQueue("q") }
        ) { $0.get("q") },
        AMQPCase(
            "basic.get of a missing queue",
            "channel.close 404 NOT_FOUND - no queue 'nope' in vhost '/' 60 70"
        ) { $0.get("nope") },
        AMQPCase(
            "basic.qos prefetch_size", "connection.close 540 NOT_IMPLEMENTED - prefetch_size!=0 (10) 60 10"
        ) { $0.qos(1, bytes: 10) },
        AMQPCase(
            "basic.recover requeue=false", "connection.close 540 NOT_IMPLEMENTED - requeue=false 60 110"
        ) { $0.recover(requeue: false) },
        AMQPCase("basic.recover requeue=true", "basic.recover-ok") { $0.recover(requeue: true) },
        AMQPCase("basic.recover-async requeue=true, then basic.qos", "basic.qos-ok") {
            $0.recoverAsync(requeue: true)
            $0.qos(1)
        },
        AMQPCase(
            "basic.ack of an unknown tag",
            "channel.close 406 PRECONDITION_FAILED - unknown delivery tag 7 60 80"
        ) { $0.ack(7) },
        AMQPCase("basic.ack multiple, tag 0, nothing unacked", "basic.qos-ok") {
            $0.ack(0, multiple: true)
            $0.qos(1)
        },
        AMQPCase(
            "basic.ack single, tag 0, nothing unacked",
            "channel.close 406 PRECONDITION_FAILED - unknown delivery tag 0 60 80"
        ) { $0.ack(0) },
        AMQPCase(
            "basic.reject of an unknown tag",
            "channel.close 406 PRECONDITION_FAILED - unknown delivery tag 7 60 90"
        ) { $0.reject(7, requeue: true) },
        AMQPCase(
            "the same tag acked twice", "basic.get-ok 1 false '' q 0 {10 0 2} x",
            "channel.close 406 PRECONDITION_FAILED - unknown delivery tag 1 60 80",
            before: { try $0.haveQueue("q") }
        ) {
            $0.publish("x", to: "q")
            $0.get("q")
            $0.ack(1)
            $0.ack(1)
        },
        AMQPCase(
            "acks of several up to a tag that was acked", "basic.get-ok 1 false '' q 1 {10 0 2} x",
            "basic.get-ok 2 false '' q 0 {10 0 2} y",
            "channel.close 406 PRECONDITION_FAILED - unknown delivery tag 1 60 80",
            before: { try $0.haveQueue("q") }
        ) {
            $0.publish("x", to: "q")
            $0.publish("y", to: "q")
            $0.get("q")
            $0.get("q")
            $0.ack(1, multiple: true)
            $0.ack(1, multiple: true)
        },
        AMQPCase(
            "basic.nack of several up to a tag never delivered, one being held",
            "basic.get-ok 1 false '' q 0 {10 0 2} x",
            "channel.close 406 PRECONDITION_FAILED - unknown delivery tag 2 60 120",
            before: { try $0.haveQueue("q") }
        ) {
            $0.publish("x", to: "q")
            $0.get("q")
            $0.nack(2, multiple: true)
        },
        AMQPCase(
            "direct reply-to: consume with acks",
            "channel.close 406 PRECONDITION_FAILED - reply consumer cannot acknowledge 60 20"
        ) { $0.consume("amq.rabbitmq.reply-to") },
        AMQPCase(
            "direct reply-to: consume twice", "basic.consume-ok t",
            "channel.close 406 PRECONDITION_FAILED - reply consumer already set 60 20"
        ) {
            $0.consume("amq.rabbitmq.reply-to", as: "t", noAck: true)
            $0.consume("amq.rabbitmq.reply-to", as: "u", noAck: true)
        },
        AMQPCase(
            "direct reply-to: passive declare of it", "basic.consume-ok t",
            "queue.declare-ok amq.rabbitmq.reply-to 0 1"
        ) {
            $0.consume("amq.rabbitmq.reply-to", as: "t", noAck: true)
            $0.declareQueue("amq.rabbitmq.reply-to", passive: true)
        },
    ]

    /// Property lists: an expiration, a user_id, a reply_to.
    private static func expiration(_ text: String) -> [UInt8] {
        [0x01, 0] + [UInt8(text.utf8.count)] + text.utf8
    }
    private static func userID(_ text: String) -> [UInt8] {
        [0, 0x10] + [UInt8(text.utf8.count)] + text.utf8
    }
    private static func replyTo(_ text: String) -> [UInt8] {
        [0x02, 0] + [UInt8(text.utf8.count)] + text.utf8
    }
    private static let confirming: @Sendable (AMQPSocket) throws -> Void = {
        $0.selectConfirms()
        try $0.expect("confirm.select-ok")
    }

    static let publishing: [AMQPCase] = [
        AMQPCase(
            "publish to a missing exchange, confirms on: no nack",
            "channel.close 404 NOT_FOUND - no exchange 'nope' in vhost '/' 60 40", before: confirming
        ) { $0.publish("x", to: "k", exchange: "nope") },
        AMQPCase("mandatory, unroutable", "basic.return 312 NO_ROUTE '' nope {10 0 2} x") {
            $0.publish("x", to: "nope", mandatory: true)
        },
        AMQPCase(
            "mandatory, unroutable, confirms on: return before ack",
            "basic.return 312 NO_ROUTE '' nope {10 0 2} x", "basic.ack 1 false", before: confirming
        ) { $0.publish("x", to: "nope", mandatory: true) },
        AMQPCase("unroutable, confirms on", "basic.ack 1 false", before: confirming) {
            $0.publish("x", to: "nope")
        },
        AMQPCase("immediate", "connection.close 540 NOT_IMPLEMENTED - immediate=true 60 40") {
            $0.publish("x", to: "q", immediate: true)
        },
        AMQPCase(
            "expiration that is no number",
            "channel.close 406 PRECONDITION_FAILED - invalid expiration 'abc': no_integer 60 40"
        ) { $0.publish("x", to: "q", properties: expiration("abc")) },
        AMQPCase(
            "expiration negative",
            "channel.close 406 PRECONDITION_FAILED - invalid expiration '-1': {value_negative,-1} 60 40"
        ) { $0.publish("x", to: "q", properties: expiration("-1")) },
        AMQPCase(
            "user_id of another user",
            "channel.close 406 PRECONDITION_FAILED - user_id property set to 'other' but authenticated user was "
                + "'guest' 60 40"
        ) { $0.publish("x", to: "q", properties: userID("other")) },
        AMQPCase("user_id of oneself", "basic.ack 1 false", before: confirming) {
            $0.publish("x", to: "q", properties: userID("guest"))
        },
        AMQPCase(
            "CC header that is no array",
            "channel.close 406 PRECONDITION_FAILED - invalid message: "
                + "{unacceptable_type_in_header,\"CC\",longstr} 60 40"
        ) {
            let table: [UInt8] = [0, 0, 0, 9, 2] + "CC".utf8 + [0x53, 0, 0, 0, 1, 0x61]
            $0.publish("x", to: "q", properties: [0x20, 0] + table)
        },
        AMQPCase(
            "publish to an internal exchange",
            "channel.close 403 ACCESS_REFUSED - cannot publish to internal exchange 'i' in vhost '/' 60 40",
            before: {
                $0.declareExchange("i", internal: true)
                try $0.expect("exchange.declare-ok")
            }
        ) { $0.publish("x", to: "q", exchange: "i") },
        AMQPCase(
            "x-overflow=reject-publish, full, confirms on: nack", "basic.ack 1 false", "basic.nack 2 0",
            before: {
                try $0.haveQueue("q", [("x-max-length", .int(1)), ("x-overflow", .text("reject-publish"))])
                try confirming($0)
            }
        ) {
            $0.publish("x", to: "q")
            $0.publish("y", to: "q")
        },
        AMQPCase(
            "direct reply-to: publish before consume",
            "channel.close 406 PRECONDITION_FAILED - fast reply consumer does not exist 60 40"
        ) { $0.publish("x", to: "q", properties: replyTo("amq.rabbitmq.reply-to")) },
    ]

    static let transactions: [AMQPCase] = [
        AMQPCase(
            "tx.commit without tx.select",
            "channel.close 406 PRECONDITION_FAILED - channel is not transactional 90 20"
        ) { $0.commit() },
        AMQPCase(
            "confirm.select then tx.select",
            "channel.close 406 PRECONDITION_FAILED - cannot switch from confirm to tx mode 90 10",
            before: confirming
        ) { $0.selectTx() },
        AMQPCase(
            "tx.select then confirm.select", "tx.select-ok",
            "channel.close 406 PRECONDITION_FAILED - cannot switch from tx to confirm mode 85 10"
        ) {
            $0.selectTx()
            $0.selectConfirms()
        },
        AMQPCase("confirm.select twice", "confirm.select-ok", before: confirming) { $0.selectConfirms() },
        AMQPCase(
            "tx: get, ack, publish, rollback; ready count; ack again, commit", "tx.select-ok",
            "basic.get-ok 1 false '' q 0 {10 0 2} x", "tx.rollback-ok", "queue.declare-ok q 0 0",
            "tx.commit-ok", "queue.declare-ok q 0 0",
            before: {
                try $0.haveQueue("q")
                $0.publish("x", to: "q")
            }
        ) {
            $0.selectTx()
            $0.get("q")
            $0.ack(1)
            $0.publish("y", to: "q")
            $0.rollback()
            $0.declareQueue("q", passive: true)
            $0.ack(1)
            $0.commit()
            $0.declareQueue("q", passive: true)
        },
        AMQPCase(
            "tx: ack of an unknown tag", "tx.select-ok",
            "channel.close 406 PRECONDITION_FAILED - unknown delivery tag 123456 60 80"
        ) {
            $0.selectTx()
            $0.ack(123456)
        },
        AMQPCase(
            "tx: the same tag acked and rejected", "tx.select-ok", "basic.get-ok 1 false '' q 0 {10 0 2} x",
            "channel.close 406 PRECONDITION_FAILED - unknown delivery tag 1 60 90",
            before: {
                try $0.haveQueue("q")
                $0.publish("x", to: "q")
            }
        ) {
            $0.selectTx()
            $0.get("q")
            $0.ack(1)
            $0.reject(1, requeue: true)
        },
        AMQPCase(
            "tx: get two, ack one, recover; rollback, ack all, get; commit, recover", "tx.select-ok",
            "basic.get-ok 1 false '' q 2 {10 0 2} x", "basic.get-ok 2 false '' q 1 {10 0 2} y",
            "basic.recover-ok", "basic.get-ok 3 true '' q 1 {10 0 2} y", "tx.rollback-ok",
            "basic.get-ok 4 false '' q 0 {10 0 2} z", "tx.commit-ok",
            "basic.recover-ok", "basic.get-ok 5 true '' q 0 {10 0 2} z", "basic.get-empty ''",
            before: {
                try $0.haveQueue("q")
                $0.publish("x", to: "q")
                $0.publish("y", to: "q")
                $0.publish("z", to: "q")
            }
        ) {
            $0.selectTx()
            $0.get("q")
            $0.get("q")
            $0.ack(1)
            $0.recover(requeue: true)
            $0.get("q")
            $0.rollback()
            $0.ack(0, multiple: true)
            $0.get("q")
            $0.commit()
            $0.recover(requeue: true)
            $0.get("q")
            $0.get("q")
        },
    ]
}
