// The methods of AMQP by name, for tests: each adds a frame to what will be sent.

/// Arguments of a declaration or a consumer.
package typealias AMQPArguments = [(String, AMQPField)]

extension AMQPSocket {
    private static func bits(_ bits: Bool...) -> AMQPItem {
        .octet(bits.enumerated().reduce(0) { $1.element ? $0 | 1 << $1.offset : $0 })
    }

    /// Says channel.open.
    package func openChannel(_ number: UInt16) { call(20, 10, .short(""), on: number) }

    /// Says channel.close.
    package func closeChannel(_ number: UInt16 = 1) {
        call(20, 40, .int16(200), .short(""), .int32(0), on: number)
    }

    /// Says channel.close-ok.
    package func closeOk(_ number: UInt16 = 1) { call(20, 41, on: number) }

    /// Says channel.flow.
    package func flow(_ isActive: Bool) { call(20, 20, Self.bits(isActive), on: 1) }

    /// Says exchange.declare.
    package func declareExchange(
        _ name: String, _ type: String = "direct", passive: Bool = false, durable: Bool = false,
        autoDelete: Bool = false, internal isInternal: Bool = false, noWait: Bool = false,
        _ arguments: AMQPArguments = [], on channel: UInt16 = 1
    ) {
        call(
            40, 10, .int16(0), .short(name), .short(type),
            Self.bits(passive, durable, autoDelete, isInternal, noWait), .table(arguments), on: channel)
    }

    /// Says exchange.delete.
    package func deleteExchange(_ name: String, ifUnused: Bool = false) {
        call(40, 20, .int16(0), .short(name), Self.bits(ifUnused, false), on: 1)
    }

    /// Says exchange.bind.
    package func bindExchange(_ target: String, to source: String, key: String = "") {
        call(40, 30, .int16(0), .short(target), .short(source), .short(key), .octet(0), .table([]), on: 1)
    }

    /// Says exchange.unbind.
    package func unbindExchange(_ target: String, from source: String, key: String = "") {
        call(40, 40, .int16(0), .short(target), .short(source), .short(key), .octet(0), .table([]), on: 1)
    }

    /// Says queue.declare.
    package func declareQueue(
        _ name: String, passive: Bool = false, durable: Bool = false, exclusive: Bool = false,
        autoDelete: Bool = false, noWait: Bool = false, _ arguments: AMQPArguments = [],
        on channel: UInt16 = 1
    ) {
        call(
            50, 10, .int16(0), .short(name), Self.bits(passive, durable, exclusive, autoDelete, noWait),
            .table(arguments), on: channel)
    }

    /// Says queue.bind.
    package func bindQueue(
        _ queue: String, to exchange: String, key: String = "", _ arguments: AMQPArguments = []
    ) {
        call(
            50, 20, .int16(0), .short(queue), .short(exchange), .short(key), .octet(0), .table(arguments),
            on: 1)
    }

    /// Says queue.unbind.
    package func unbindQueue(_ queue: String, from exchange: String, key: String = "") {
        call(50, 50, .int16(0), .short(queue), .short(exchange), .short(key), .table([]), on: 1)
    }

    /// Says queue.purge.
    package func purge(_ queue: String) { call(50, 30, .int16(0), .short(queue), .octet(0), on: 1) }

    /// Says queue.delete.
    package func deleteQueue(
        _ queue: String, ifUnused: Bool = false, ifEmpty: Bool = false, on channel: UInt16 = 1
    ) {
        call(50, 40, .int16(0), .short(queue), Self.bits(ifUnused, ifEmpty, false), on: channel)
    }

    /// Says basic.qos.
    package func qos(_ count: UInt16, global: Bool = false, bytes: UInt32 = 0) {
        call(60, 10, .int32(bytes), .int16(count), Self.bits(global), on: 1)
    }

    /// Says basic.consume.
    package func consume(
        _ queue: String, as tag: String = "", noAck: Bool = false, exclusive: Bool = false,
        _ arguments: AMQPArguments = [], on channel: UInt16 = 1
    ) {
        call(
            60, 20, .int16(0), .short(queue), .short(tag), Self.bits(false, noAck, exclusive, false),
            .table(arguments), on: channel)
    }

    /// Says basic.cancel.
    package func cancel(_ tag: String, on channel: UInt16 = 1) {
        call(60, 30, .short(tag), .octet(0), on: channel)
    }

    /// Says basic.get.
    package func get(_ queue: String, noAck: Bool = false, on channel: UInt16 = 1) {
        call(60, 70, .int16(0), .short(queue), Self.bits(noAck), on: channel)
    }

    /// Says basic.ack.
    package func ack(_ tag: UInt64, multiple: Bool = false, on channel: UInt16 = 1) {
        call(60, 80, .int64(tag), Self.bits(multiple), on: channel)
    }

    /// Says basic.reject.
    package func reject(_ tag: UInt64, requeue: Bool) { call(60, 90, .int64(tag), Self.bits(requeue), on: 1) }

    /// Says basic.nack.
    package func nack(_ tag: UInt64, multiple: Bool = false, requeue: Bool = true) {
        call(60, 120, .int64(tag), Self.bits(multiple, requeue), on: 1)
    }

    /// Says basic.recover.
    package func recover(requeue: Bool) { call(60, 110, Self.bits(requeue), on: 1) }

    /// Says basic.recover-async.
    package func recoverAsync(requeue: Bool) { call(60, 100, Self.bits(requeue), on: 1) }

    /// Says confirm.select.
    package func selectConfirms(on channel: UInt16 = 1) { call(85, 10, .octet(0), on: channel) }

    /// Says tx.select.
    package func selectTx() { call(90, 10, on: 1) }

    /// Says tx.commit.
    package func commit() { call(90, 20, on: 1) }

    /// Says tx.rollback.
    package func rollback() { call(90, 30, on: 1) }

    /// Says connection.close.
    package func closeConnection() { call(10, 50, .int16(200), .short(""), .int32(0)) }

    /// Declares a queue that nothing is wrong with, and waits until it is there.
    package func haveQueue(_ name: String, durable: Bool = false, _ arguments: AMQPArguments = []) throws {
        declareQueue(name, durable: durable, arguments)
        try expect("queue.declare-ok \(name)")
    }
}
