// A small AMQP 0-9-1 client for tests, written apart from the product's own codec so that the two check each other.
// What the server says is text: `queue.declare-ok jobs 0 0`.

/// A connection to a server on this machine that speaks AMQP. It never sends on its own.
package final class AMQPSocket: AMQPSpeaker {
    /// What carries the bytes, to be waited for together with others.
    package let socket: LineSocket
    private var input: [UInt8] = []
    /// Bytes of a frame that a body is cut to.
    package var frameBytesMax = 131_072

    /// Connects to `port` on 127.0.0.1 and says the protocol header.
    package init(greeting port: UInt16, header: [UInt8] = Array("AMQP".utf8) + [0, 0, 9, 1]) throws {
        socket = try LineSocket(port: port)
        socket.sayRaw(header)
    }

    /// Connects, logs in as guest, and opens virtual host `/` and channel 1.
    package convenience init(
        port: UInt16, capabilities: [String] = ["consumer_cancel_notify", "connection.blocked"],
        channelMax: UInt16 = 2047, frameMax: UInt32 = 131_072, heartbeat: UInt16 = 0
    ) throws {
        try self.init(greeting: port)
        _ = try next()
        startOk(capabilities: capabilities)
        _ = try next()
        tuneOk(channelMax: channelMax, frameMax: frameMax, heartbeat: heartbeat)
        call(10, 40, .short("/"), .short(""), .octet(0))
        try expect("connection.open-ok")
        frameBytesMax = Int(frameMax)
        call(20, 10, .short(""), on: 1)
        try expect("channel.open-ok")
    }

    package func say(_ bytes: [UInt8]) { socket.sayRaw(bytes) }

    /// Sends what was said, and waits for the next method or heartbeat; `closed` where the connection is.
    package func next() throws -> String {
        while true {
            if let text = try AMQPText.take(from: &input) { return text }
            socket.exchange()
            input += socket.takeBytes()
            if let text = try AMQPText.take(from: &input) { return text }
            if !socket.isOpen { return input.isEmpty ? "closed" : "closed after \(input)" }
            try LineSocket.wait(for: [socket])
        }
    }

    /// Takes the next method or heartbeat, if it has come; sends and receives nothing.
    package func takeNext() throws -> String? {
        input += socket.takeBytes()
        return try AMQPText.take(from: &input)
    }

    /// Sends what was said; nothing is waited for.
    package func send() { socket.sendWhatGoes() }

    /// Waits for what comes next, which is to begin like this.
    package func expect(_ beginning: String) throws {
        let text = try next()
        guard text.hasPrefix(beginning) else {
            throw SocketFailure(description: "the server said '\(text)' instead of '\(beginning)'")
        }
    }
}
