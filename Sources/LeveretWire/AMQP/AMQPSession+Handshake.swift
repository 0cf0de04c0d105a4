// How a connection begins and ends: greeting, login, tuning, virtual host (AMQP 0-9-1 §1.4, §2.2.4), and
// connection.close from either side. Who may log in is the server's to find out.

public import LeveretCore
public import NIOCore

/// Who wants to log in.
public struct AMQPLogin: Sendable, Equatable {
    /// How a client shows who it is (RabbitMQ: "Access Control", authentication mechanisms).
    public enum Mechanism: String, Sendable {
        /// A name and a password in a table.
        case amqplain = "AMQPLAIN"
        /// A name and a password (RFC 4616).
        case plain = "PLAIN"
        /// A certificate, which was shown before (RFC 4422, appendix A).
        case external = "EXTERNAL"
    }

    /// The login name; empty where a certificate says it.
    public var user: String
    /// The password as it was given; empty where there is none.
    public var password: String
    /// The mechanism.
    public var mechanism: Mechanism
}

extension AMQPSession {
    private static let header: [UInt8] = Array("AMQP".utf8) + [0, 0, 9, 1]
    /// Clients branch on these: they are RabbitMQ's name and a version whose behaviour this is.
    private static let product = "RabbitMQ"
    private static let productVersion = "3.13.0"
    private static let capabilities = [
        "publisher_confirms", "exchange_exchange_bindings", "basic.nack", "consumer_cancel_notify",
        "connection.blocked", "consumer_priorities", "authentication_failure_close", "per_consumer_qos",
        "direct_reply_to",
    ]

    /// Of these the first is what most clients choose that know more than one.
    private var mechanisms: [AMQPLogin.Mechanism] {
        knowsClient ? [.amqplain, .plain, .external] : [.amqplain, .plain]
    }

    private var mechanismNames: String { mechanisms.map(\.rawValue).joined(separator: " ") }

    mutating func greeted(_ header: [UInt8], out: inout ByteBuffer) {
        guard header == Self.header else {
            out.writeBytes(Self.header)
            return finish()
        }
        state = .starting
        var capabilities = FieldTable()
        for name in Self.capabilities { capabilities[name] = true }
        let properties: FieldTable = [
            "capabilities": .table(capabilities), "cluster_name": "leveret",
            "copyright": "The authors of Leveret", "information": "Licensed under the Apache License 2.0",
            "leveret_version": .string(version), "platform": .string("Leveret \(version)"),
            "product": .string(Self.product), "version": .string(Self.productVersion),
        ]
        AMQPWriter.method(.connectionStart, on: 0, to: &out) { out in
            out.writeBytes([0, 9])
            out.writeBytes(FieldTableCodec.encode(properties))
            out.write(longString: mechanismNames)
            out.write(longString: "en_US")
        }
    }

    /// Takes a method of the connection.
    mutating func takeForConnection(_ payload: ByteBuffer, out: inout ByteBuffer) throws(AMQPFailure) {
        if isClosing {
            let name: UInt32? = payload.getInteger(at: payload.readerIndex)
            switch name.flatMap({ AMQPMethodID(rawValue: $0) }) {
            case .connectionCloseOk?: finish()
            case .connectionClose?: AMQPWriter.method(.connectionCloseOk, on: 0, to: &out)
            default: break
            }
            return
        }
        let (id, method) = try AMQPMethod.decode(payload)
        switch (state, method) {
        case (.starting, .connectionStartOk(let startOk)): try started(startOk)
        case (.tuning, .connectionTuneOk(let tuneOk)): try tuned(tuneOk)
        case (.opening, .connectionOpen(let host)):
            state = .openingHost
            pending.append(.openHost(host))
        case (.open, .connectionUpdateSecret):
            AMQPWriter.method(.connectionUpdateSecretOk, on: 0, to: &out)
        case (_, .connectionClose):
            state = .closedByClient
            closeIfSettled()
        case (.open, _): throw .channelError("unexpected method in connection state running", id)
        default: throw .channelError("unexpected method in connection state starting", id)
        }
    }

    /// Answers connection.close once what the client acked is durable, and what it asked is answered.
    mutating func closeIfSettled() {
        guard case .closedByClient = state, !pending.contains(.closeAll) else { return }
        let isBusy = channels.all.contains { channel in
            !channel.isClosing && (channel.settling > 0 || channel.waiting != nil || channel.canGoOn(context))
        }
        if !isBusy { pending.append(.closeAll) }
    }

    // MARK: login

    private mutating func started(_ startOk: AMQPStartOk) throws(AMQPFailure) {
        clientProperties = startOk.properties
        context.hearsOfCancels = hasCapability("consumer_cancel_notify")
        guard let mechanism = AMQPLogin.Mechanism(rawValue: startOk.mechanism), mechanisms.contains(mechanism)
        else {
            throw AMQPFailure(
                .commandInvalid,
                "unknown authentication mechanism '\(startOk.mechanism)'; use one of \(mechanismNames)",
                .connectionStartOk)
        }
        let login =
            switch mechanism {
            case .plain: Self.plain(startOk.response)
            case .amqplain: Self.amqplain(startOk.response)
            case .external: AMQPLogin(user: "", password: "", mechanism: .external)
            }
        guard let login else {
            throw AMQPFailure(
                .syntaxError, "the response is none of mechanism \(startOk.mechanism)", .connectionStartOk)
        }
        state = .loggingIn
        pending.append(.login(login))
    }

    /// RFC 4616: whom to act for, the name and the password, with a zero octet before each of the latter.
    private static func plain(_ response: [UInt8]) -> AMQPLogin? {
        let parts = response.split(separator: 0, maxSplits: 2, omittingEmptySubsequences: false)
        guard parts.count == 3, let user = String(validating: parts[1], as: UTF8.self),
            let password = String(validating: parts[2], as: UTF8.self)
        else { return nil }
        return AMQPLogin(user: user, password: password, mechanism: .plain)
    }

    /// RabbitMQ: the inside of a field table with LOGIN and PASSWORD.
    private static func amqplain(_ response: [UInt8]) -> AMQPLogin? {
        var size = ByteBuffer()
        size.writeInteger(UInt32(clamping: response.count))
        guard let table = try? FieldTableCodec.decode(Array(size.readableBytesView) + response),
            case .string(let user)? = table["LOGIN"], case .string(let password)? = table["PASSWORD"]
        else { return nil }
        return AMQPLogin(user: user, password: password, mechanism: .amqplain)
    }

    /// The client may log in, under this name.
    public mutating func loggedIn(as user: String, out: inout ByteBuffer) {
        guard case .loggingIn = state else { return }
        context.user = user
        state = .tuning
        let limits = context.limits
        AMQPWriter.method(.connectionTune, on: 0, to: &out) { out in
            out.writeInteger(limits.channelsMax)
            out.writeInteger(UInt32(clamping: limits.frameBytesMax))
            out.writeInteger(limits.heartbeatSeconds)
        }
    }

    /// The client may not log in. It is told so if it can hear it; else the connection is over.
    public mutating func refusedLogin(_ login: AMQPLogin, out: inout ByteBuffer) {
        guard case .loggingIn = state else { return }
        let failure = AMQPFailure(
            .accessRefused,
            "Login was refused using authentication mechanism \(login.mechanism.rawValue). "
                + "For details see the broker logfile.")
        guard hasCapability("authentication_failure_close") else {
            violation = failure.text
            return finish()
        }
        fail(failure, out: &out)
    }

    // MARK: tuning

    private mutating func tuned(_ tuneOk: AMQPTuneOk) throws(AMQPFailure) {
        let limits = context.limits
        func refuse(_ name: String, _ value: Int, _ isLess: Bool, _ bound: Int) -> AMQPFailure {
            let what =
                isLess ? "too small (\(bound) minimum allowed)" : "too large (\(bound) maximum allowed)"
            return AMQPFailure(.notAllowed, "negotiated \(name) = \(value) is \(what)", .connectionTuneOk)
        }
        let channelMax = Int(tuneOk.channelMax)
        guard channelMax > 0, channelMax <= Int(limits.channelsMax) else {
            throw refuse("channel_max", channelMax, false, Int(limits.channelsMax))
        }
        let frameMax = Int(tuneOk.frameMax)
        guard frameMax == 0 || frameMax >= AMQPLimits.frameBytesMin else {
            throw refuse("frame_max", frameMax, true, AMQPLimits.frameBytesMin)
        }
        guard frameMax > 0, frameMax <= limits.frameBytesMax else {
            throw refuse("frame_max", frameMax, false, limits.frameBytesMax)
        }
        channelsMax = tuneOk.channelMax
        decoder.frameBytesMax = frameMax
        writer.frameBytesMax = frameMax
        heartbeatSeconds = tuneOk.heartbeat
        state = .opening
    }

    /// The client may use the virtual host, or not: 530 says why.
    public mutating func opened(_ host: String, _ refusal: BrokerError?, out: inout ByteBuffer) {
        guard case .openingHost = state else { return }
        if let refusal { return fail(AMQPFailure(refusal.code, refusal.text, .connectionOpen), out: &out) }
        context.host = host
        state = .open
        AMQPWriter.method(.connectionOpenOk, on: 0, to: &out) { $0.write(shortString: "") }
    }
}
