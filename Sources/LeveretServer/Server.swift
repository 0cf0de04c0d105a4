// The server: binds, hands each socket to a handler, and ends in good order. It knows sockets and limits;
// what is said on a socket is the handlers' business, what becomes of messages the broker's.

public import Leveret
public import Logging
import NIOCore
import NIOPosix
public import ServiceLifecycle
import Synchronization

/// Serves a broker to clients over TCP.
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
    private let connections: ConnectionRegistry
    private let room: SharedRoom
    private let refusals: RefusalLog
    private let listeners = Mutex<[any Channel]?>([])  // guards what is bound; nil once it was stopped

    /// A server that has not begun to listen.
    ///
    /// - Parameter onListening: called by `run()` once it listens, with the real ports.
    public init(
        broker: Broker, configuration: ServerConfiguration = ServerConfiguration(),
        logger: Logger = Logger(label: "leveret.server"),
        onListening: @escaping @Sendable ([ListenAddress]) -> Void = { _ in }
    ) {
        self.broker = broker
        self.configuration = configuration
        self.logger = logger
        self.onListening = onListening
        group = MultiThreadedEventLoopGroup(numberOfThreads: min(max(1, configuration.eventLoops), 64))
        connections = ConnectionRegistry(countMax: configuration.limits.connectionsMax)
        room = SharedRoom(configuration.limits)
        refusals = RefusalLog(logger: logger)
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
    /// Throws a `BrokerError` that names the address when one can't be had; then it listens on none.
    public func start() async throws -> [ListenAddress] {
        let descriptors = FileDescriptors.raiseLimit()
        connections.limit(to: descriptors - 64)
        var bound: [ListenAddress] = []
        for address in configuration.addresses {
            do {
                let channel = try await bootstrap.bind(host: address.host, port: address.port).get()
                listeners.withLock { $0?.append(channel) }
                bound.append(
                    ListenAddress(host: address.host, port: channel.localAddress?.port ?? address.port))
            } catch {
                let refusal = Self.refusal(address, error)
                // The broker is its owner's, who may go on without a server.
                if await closeListeners() { try await cutOff() }
                throw refusal
            }
        }
        for address in bound { logger.info("listening", metadata: ["address": "\(address)"]) }
        return bound
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
            try? await listener.close().get()
        }
        return true
    }

    /// Ends those who have come meanwhile, without a word.
    private func cutOff() async throws {
        connections.closeAll()
        await connections.drain()
        try await group.shutdownGracefully()
    }

    private var bootstrap: ServerBootstrap {
        let limits = configuration.limits
        let water = ChannelOptions.Types.WriteBufferWaterMark(
            low: max(1, limits.outputBytesMax / 4), high: max(1, limits.outputBytesMax)
        )
        return ServerBootstrap(group: group)
            .serverChannelOption(.backlog, value: 1024)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
            .childChannelOption(.allowRemoteHalfClosure, value: true)
            .childChannelOption(.writeBufferWaterMark, value: water)
            .childChannelOption(
                .recvAllocator,
                value: AdaptiveRecvByteBufferAllocator(minimum: 1024, initial: 8192, maximum: 256 << 10)
            )
            .childChannelInitializer { [broker, limits, logger, connections, room, refusals] channel in
                guard connections.add(channel) else {
                    refusals.refused(limit: connections.limit, on: channel.eventLoop)
                    return Self.turnAway(channel, connections.limit)
                }
                channel.closeFuture.whenComplete { _ in connections.remove(channel) }
                return channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(
                        SniffingHandler(broker: broker, limits: limits, room: room, logger: logger)
                    )
                }
            }
    }

    /// Tells a client that there is no room for it.
    private static func turnAway(_ channel: any Channel, _ limit: Int) -> EventLoopFuture<Void> {
        let text =
            "ERR 506 RESOURCE_ERROR \(limit) connections are open, as many as there may be; try again later\n"
        return channel.eventLoop.makeCompletedFuture {
            try channel.pipeline.syncOperations.addHandler(FarewellHandler(ByteBuffer(string: text)))
        }
    }

    private static func refusal(_ address: ListenAddress, _ error: any Error) -> BrokerError {
        guard let error = error as? IOError else {
            return BrokerError(.internalError, "can't listen on \(address): \(error)")
        }
        let advice =
            switch error.errnoCode {
            case FileDescriptors.addressInUse: "the port is in use; stop what has it, or listen on another"
            case FileDescriptors.accessDenied: "not allowed; ports below 1024 are for root, pick another"
            case FileDescriptors.addressNotAvailable:
                "this machine has no such address; try 127.0.0.1 or 0.0.0.0"
            default: error.description
            }
        let code: ReplyCode =
            error.errnoCode == FileDescriptors.addressInUse ? .resourceLocked : .internalError
        return BrokerError(code, "can't listen on \(address): \(advice)")
    }
}
