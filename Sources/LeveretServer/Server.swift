// The server: binds, hands each socket to a handler, and ends in good order. It knows sockets and limits;
// what is said on a socket is the handlers' business, what becomes of messages the broker's.

public import Leveret
import LeveretWire
public import Logging
import NIOCore
import NIOPosix
public import ServiceLifecycle
import Synchronization

/// Serves a broker to clients over TCP, with TLS and without, and over sockets in the file system.
///
/// ```swift
/// let server = Server(broker: broker)
/// let addresses = try await server.start()
/// …
/// try await server.stop()
/// ```
///
/// In a service group it stands behind the broker, so that it ends first.
public final class Server: Service {
    private let broker: Broker
    private let configuration: ServerConfiguration
    private let logger: Logger
    private let onListening: @Sendable ([ListenAddress]) -> Void
    private let group: MultiThreadedEventLoopGroup
    /// Looks around: a disk may take its time, and clients are not to wait for that.
    private let lookout = NIOThreadPool(numberOfThreads: 1)
    private let connections: ConnectionRegistry
    private let parts: ServerParts
    private let refusals: RefusalLog
    private let measure: @Sendable () -> (diskFreeBytes: Int?, residentBytes: Int)
    private let giveBackMemory: @Sendable () -> Void
    private let isLocal: @Sendable (SocketAddress?) -> Bool
    private let watch: Mutex<ResourceWatch>  // guards which alarms it has raised
    private let listeners = Mutex<[Listener]?>([])  // guards what is bound; nil once it was stopped

    /// A server that has not begun to listen.
    ///
    /// - Parameter onListening: called by `run()` once it listens, with the real ports.
    public convenience init(
        broker: Broker, configuration: ServerConfiguration = ServerConfiguration(),
        logger: Logger = Logger(label: "leveret.server"),
        onListening: @escaping @Sendable ([ListenAddress]) -> Void = { _ in }
    ) {
        self.init(
            broker: broker, configuration: configuration, logger: logger, onListening: onListening,
            giveBackMemory: { broker.giveBackMemory() },
            measure: { (broker.diskFreeBytes, broker.residentBytes) })
    }

    /// A server that asks `measure` what there is of disk and memory, has `giveBackMemory` make that of memory less,
    /// and asks `isLocal` which clients are on this machine.
    init(
        broker: Broker, configuration: ServerConfiguration, logger: Logger,
        onListening: @escaping @Sendable ([ListenAddress]) -> Void = { _ in },
        passwordCost: PasswordHash.Cost = .standard,
        isLocal: @escaping @Sendable (SocketAddress?) -> Bool = Peer.isLocal,
        giveBackMemory: @escaping @Sendable () -> Void = {},
        measure: @escaping @Sendable () -> (diskFreeBytes: Int?, residentBytes: Int)
    ) {
        self.broker = broker
        self.configuration = configuration
        self.logger = logger
        self.onListening = onListening
        group = MultiThreadedEventLoopGroup(numberOfThreads: min(max(1, configuration.eventLoops), 64))
        connections = ConnectionRegistry(countMax: configuration.limits.connectionsMax)
        parts = ServerParts(
            broker: broker, limits: configuration.limits, room: SharedRoom(configuration.limits),
            logger: logger, tls: TLSIdentity(), passwordCost: passwordCost)
        refusals = RefusalLog(logger: logger)
        self.giveBackMemory = giveBackMemory
        self.measure = measure
        self.isLocal = isLocal
        watch = Mutex(ResourceWatch(configuration.alarms))
    }

    /// Listens, and serves until the service group shuts down or the task is cancelled; then drains.
    public func run() async throws {
        let addresses = try await start()
        onListening(addresses)
        // Being cancelled is a reason to stop as well: both ways lead there.
        try? await gracefulShutdown()
        try await stop()
    }

    /// Begins to listen on every address and returns them with their real ports.
    ///
    /// Throws a `BrokerError` that names the address when one can't be had, or the file where the certificate is no
    /// good; then it listens on none.
    public func start() async throws -> [ListenAddress] {
        let descriptors = FileDescriptors.raiseLimit()
        connections.limit(to: descriptors - 64)
        broker.setServerLimits([
            "connections": .int(Int64(connections.limit)),
            "line_bytes": .int(Int64(configuration.limits.line.lineBytesMax)),
            "body_bytes": .int(Int64(configuration.limits.line.bodyBytesMax)),
            "memory_bytes": .int(Int64(configuration.alarms.residentBytesMax)),
            "disk_free_bytes_min": .int(Int64(configuration.alarms.diskFreeBytesMin)),
        ])
        var bound: [ListenAddress] = []
        do {
            if let tls = configuration.tls { try parts.tls.read(tls) }
            for socket in configuration.inheritedSockets {
                let address = try socket.address()
                let listener = try await listen(on: address, through: socket)
                listeners.withLock { $0?.append(listener) }
                bound.append(address)
            }
            for address in configuration.addresses where configuration.inheritedSockets.isEmpty {
                let listener = try await listen(on: address)
                listeners.withLock { $0?.append(listener) }
                bound.append(address.listening(on: listener.channel.localAddress?.port))
            }
        } catch {
            // The broker is its owner's, who may go on without a server.
            if await closeListeners() { try await cutOff() }
            throw error
        }
        for address in bound { logger.info("listening", metadata: ["address": "\(address)"]) }
        if configuration.tls == nil, !configuration.login.allowPlainPasswords,
            let open = bound.first(where: { !$0.isLocal })
        {
            logger.warning(
                "clients on other machines can't log in: there is no certificate for TLS, and no --allow-plain-auth",
                metadata: ["address": "\(open)"])
        }
        // Before the first publish can come in; the others end with the loop.
        lookAround()
        lookout.start()
        parts.desk.start()
        let loop = group.next()
        _ = loop.scheduleRepeatedAsyncTask(initialDelay: .seconds(1), delay: .seconds(1)) {
            [weak self] task in
            guard let self else {
                task.cancel()
                return loop.makeSucceededVoidFuture()
            }
            return lookout.runIfActive(eventLoop: loop) { self.lookAround() }
        }
        return bound
    }

    /// Raises and clears alarms as disk, memory and connections now are.
    func lookAround() {
        var (diskFreeBytes, residentBytes) = measure()
        if watch.withLock({ $0.wantsMemoryBack(residentBytes: residentBytes) }) {
            giveBackMemory()
            (diskFreeBytes, residentBytes) = measure()
        }
        let reading = ResourceReading(
            diskFreeBytes: diskFreeBytes, residentBytes: residentBytes, connections: connections.count)
        let changes = watch.withLock { $0.measured(reading, connectionsMax: connections.limit) }
        for change in changes {
            if let text = change.text {
                logger.warning("alarm: \(text)")
            } else {
                logger.notice("the alarm is over", metadata: ["cause": "\(change.cause)"])
            }
            broker.setAlarm(change.text, cause: change.cause)
        }
    }

    /// Reads the certificate and the key again, from these files; connections from here on use them. For a server
    /// that has been started with TLS.
    ///
    /// - Throws: a `BrokerError` that names the file and what is wrong with it; what was in use stays in use.
    public func renewCertificate(_ settings: TLSSettings) throws(BrokerError) {
        guard parts.tls.current != nil else {
            throw BrokerError(.preconditionFailed, "the server was started without TLS; restart it")
        }
        try parts.tls.read(settings)
    }

    /// Stops: no new connections, clients are told with `NOTE draining`, what they asked is answered, what
    /// they hold goes back, and they are closed; those that don't read in `drainSeconds` are cut off. Drains
    /// the broker, too: it takes no more publishes. A server that was stopped can't be started again; to stop
    /// it twice does nothing.
    public func stop() async throws {
        guard await closeListeners() else { return }
        broker.beginDraining()
        let open = connections.count
        if open > 0 { logger.info("draining", metadata: ["connections": "\(open)"]) }
        let loop = group.next()
        let cutOff = loop.scheduleTask(in: .seconds(Int64(configuration.limits.drainSeconds))) {
            [connections] in
            connections.closeAll()
        }
        await connections.drain()
        cutOff.cancel()
        try await lookout.shutdownGracefully()
        try await parts.desk.stop()
        try await group.shutdownGracefully()
        logger.info("stopped")
    }

    /// Listens no more; false where it has been stopped before.
    private func closeListeners() async -> Bool {
        let bound = listeners.withLock { listeners in
            defer { listeners = nil }
            return listeners
        }
        guard let bound else { return false }
        for listener in bound {
            // Closing fails only for what is closed already.
            try? await listener.channel.close().get()
            listener.socket?.remove()
        }
        return true
    }

    /// Ends those who have come meanwhile, without a word.
    private func cutOff() async throws {
        connections.closeAll()
        await connections.drain()
        try await group.shutdownGracefully()
    }

    private func listen(on address: ListenAddress) async throws -> Listener {
        switch address {
        case .tcp(let host, let port):
            return Listener(channel: try await bind(address, .open, host, port))
        case .tls(let host, let port):
            try requireCertificate(for: address)
            return Listener(channel: try await bind(address, .tlsOnly, host, port))
        case .unix(let path):
            let socket = try UnixSocket(path: path, mode: configuration.unixSocketMode)
            do {
                let channel = try await bootstrap(address, .open).withBoundSocket(socket.descriptor).get()
                return Listener(channel: channel, socket: socket)
            } catch {
                socket.remove()
                throw Self.refusal(address, error)
            }
        }
    }

    private func listen(
        on address: ListenAddress, through socket: InheritedSocket
    ) async throws -> Listener {
        if socket.isTLSOnly { try requireCertificate(for: address) }
        var bootstrap = bootstrap(address, socket.isTLSOnly ? .tlsOnly : .open)
        if address.port != nil {
            bootstrap = Self.withClientsOverTCP(bootstrap)
        }
        do {
            return Listener(channel: try await bootstrap.withBoundSocket(socket.descriptor).get())
        } catch {
            throw Self.refusal(address, error)
        }
    }

    private func requireCertificate(for address: ListenAddress) throws(BrokerError) {
        guard parts.tls.current != nil else { throw Self.noCertificate(address) }
    }

    /// Writes leave at once, and the system asks after clients whose machine may be gone: the line protocol has no
    /// heartbeats, and AMQP's may be turned off.
    private static func withClientsOverTCP(_ bootstrap: ServerBootstrap) -> ServerBootstrap {
        bootstrap.childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
            .childChannelOption(.socketOption(.so_keepalive), value: 1)
    }

    private func bind(
        _ address: ListenAddress, _ layer: SniffingHandler.Layer, _ host: String, _ port: Int
    ) async throws -> any Channel {
        let bootstrap = Self.withClientsOverTCP(bootstrap(address, layer))
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
        do { return try await bootstrap.bind(host: host, port: port).get() } catch {
            throw Self.refusal(address, error)
        }
    }

    private func bootstrap(_ address: ListenAddress, _ layer: SniffingHandler.Layer) -> ServerBootstrap {
        let limits = configuration.limits
        let water = ChannelOptions.Types.WriteBufferWaterMark(
            low: max(1, limits.outputBytesMax / 4), high: max(1, limits.outputBytesMax)
        )
        return ServerBootstrap(group: group)
            .serverChannelOption(.backlog, value: 1024)
            .childChannelOption(.allowRemoteHalfClosure, value: true)
            .childChannelOption(.writeBufferWaterMark, value: water)
            .childChannelOption(
                .recvAllocator,
                value: AdaptiveRecvByteBufferAllocator(minimum: 1024, initial: 8192, maximum: 256 << 10)
            )
            .childChannelInitializer {
                [parts, connections, refusals, isLocal, login = configuration.login] channel in
                guard connections.add(channel) else {
                    refusals.refused(limit: connections.limit, on: channel.eventLoop)
                    return Self.turnAway(channel, connections.limit, layer)
                }
                channel.closeFuture.whenComplete { _ in connections.remove(channel) }
                let isSocketInFileSystem = address.port == nil
                let name = isSocketInFileSystem ? "\(address)" : Self.name(of: channel.remoteAddress)
                let peer = Peer(
                    name, isLocal: isSocketInFileSystem || isLocal(channel.remoteAddress), login, limits,
                    now: channel.eventLoop.now)
                return channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(
                        SniffingHandler(parts, layer: layer, peer: peer))
                }
            }
    }

    /// `127.0.0.1:35284`, `[::1]:35284`.
    private static func name(of peer: SocketAddress?) -> String {
        guard let host = peer?.ipAddress, let port = peer?.port else { return "?" }
        return "\(ListenAddress(host: host, port: port))"
    }

    /// Tells a client that there is no room for it; where it expects TLS, without a word.
    private static func turnAway(
        _ channel: any Channel, _ limit: Int, _ layer: SniffingHandler.Layer
    ) -> EventLoopFuture<Void> {
        let text =
            layer == .tlsOnly
            ? ""
            : "ERR 506 RESOURCE_ERROR \(limit) connections are open, as many as there may be; try again later\n"
        return channel.eventLoop.makeCompletedFuture {
            try channel.pipeline.syncOperations.addHandler(FarewellHandler(ByteBuffer(string: text)))
        }
    }

    static func noCertificate(_ address: ListenAddress) -> BrokerError {
        BrokerError(
            .preconditionFailed, "can't listen on \(address): there is no certificate; give one, and its key")
    }

    static func refusal(_ address: ListenAddress, _ error: any Error) -> BrokerError {
        guard let error = error as? IOError else {
            return BrokerError(.internalError, "can't listen on \(address): \(error)")
        }
        let advice =
            switch error.errnoCode {
            case FileDescriptors.addressInUse: "the port is in use; stop what has it, or listen on another"
            case FileDescriptors.accessDenied: "not allowed; ports below 1024 are for root, pick another"
            case FileDescriptors.addressNotAvailable:
                "this machine has no such address; try 127.0.0.1 or 0.0.0.0"
            case let code where FileDescriptors.tooManyOpen.contains(code):
                "too many files are open; raise the limit (ulimit -n)"
            default: error.description
            }
        let code: ReplyCode =
            error.errnoCode == FileDescriptors.addressInUse ? .resourceLocked : .internalError
        return BrokerError(code, "can't listen on \(address): \(advice)")
    }
}

/// What the server listens on.
private struct Listener: Sendable {
    let channel: any Channel
    /// The file to remove at the end.
    var socket: UnixSocket?
}
