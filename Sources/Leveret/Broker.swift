// The public face of an embedded broker: opening it, the doors into it, and its end. What it can do is in
// the extensions: Broker+Topology, Broker+VirtualHosts, Broker+Publish, Broker+Consume, Broker+Inspect, Transaction.

public import CoreMetrics
@_exported public import LeveretCore
public import Logging

/// A message broker inside your process, with its state in one SQLite file.
///
/// ```swift
/// let broker = try Broker(.file("shop.db"))
/// try await broker.declareQueue("orders")
/// try await broker.publish("one lamp", to: "orders")  // returns once it is on disk
///
/// let consumer = try await broker.consume("orders")
/// for try await order in consumer {
///     print(order.text ?? "")
///     try await order.ack()  // returns once it is off the disk
/// }
/// try await broker.shutdown()
/// ```
///
/// What is refused throws a `BrokerError` that says what to do. A task that is cancelled while it waits gets a
/// `CancellationError` (`PublishCancelled` from what publishes); what it asked for may happen all the same.
/// While the broker is open its time is the wall clock's at the open, going on monotonically.
///
/// A broker is safe to use from any number of tasks. One process at a time may have a file open. End it with
/// `shutdown()`. One that is let go of commits what it was given and closes its file by itself, a moment
/// later; what was got from it (connections, consumers, messages, handles that wait for a confirm) keeps it
/// open.
public final class Broker: Sendable {
    /// Leveret's version.
    public static let version = "0.1.0"

    /// Where a broker keeps what must survive.
    public enum Storage: Hashable, Sendable {
        /// A SQLite file at this path, made when it isn't there.
        case file(String)
        /// Nothing survives: for tests, and for queues that need not outlive the process.
        case memory
    }

    /// What lets clients change how much the process logs, while it runs.
    public struct LogControl: Sendable {
        /// The level to begin with.
        public var initial: LogLevel
        /// Called with each level that a client asks for, on any thread and outside all locks; it must only pass the
        /// word on.
        public var set: @Sendable (LogLevel) -> Void

        /// Control over a log that begins at `initial`.
        public init(initial: LogLevel, set: @escaping @Sendable (LogLevel) -> Void) {
            self.initial = initial
            self.set = set
        }
    }

    /// How a broker is set up.
    public struct Configuration: Sendable {
        /// How the file is written: durability, and the copy before a migration.
        public var store = StoreOptions()
        /// Bounds on memory and sizes.
        public var limits = CoreLimits()
        /// Where the broker logs: a line per event that matters, none per message.
        public var logger: Logger
        /// Where the broker's metrics go (docs/operations.md, Metrics); `nil`, the default, is the process's backend,
        /// as `MetricsSystem.bootstrap` has set it before the broker was opened.
        public var metrics: (any MetricsFactory)?
        /// How clients change what the process logs (LOG); `nil`, the default, refuses it.
        public var logControl: LogControl?
        /// The broker's time; `nil` is the wall clock, anchored when the broker opens.
        public var clock: BrokerClock?
        /// What server-made names and jitter grow from; `nil` is a random one.
        public var seed: UInt64?
        /// After how many milliseconds a commit that failed is tried again, given how often it did.
        package var retryMilliseconds: @Sendable (Int) -> Int = { min(50 << min($0, 5), 1_000) }

        /// The defaults: full durability, default limits, a logger called `leveret`.
        public init() { logger = Logger(label: "leveret") }
    }

    let engine: Engine
    private let lease: Lease
    /// The connection of everything the Swift API does: it owns this program's exclusive queues.
    let connection: BrokerConnection
    /// The session of everything that is not a consumer's.
    let door: Door
    /// Where names mean something: `/` unless `virtualHost(_:)` made it.
    public let virtualHost: VirtualHostName
    /// What time it is for the broker: by this, messages are delayed and expire.
    public var now: Instant { engine.clock.now() }

    /// Opens a broker and recovers what its file holds. Takes milliseconds, with a million messages waiting
    /// about a fifth of a second.
    ///
    /// - Throws: a `BrokerError` that says what to do when the file is in use, is not Leveret's, is damaged,
    ///   is newer than this version, or can't be written, or the system has no room for the threads.
    public init(_ storage: Storage, configuration: Configuration = Configuration()) throws(BrokerError) {
        let path: String? = if case .file(let path) = storage { path } else { nil }
        engine = try Engine(storage: path, configuration: configuration)
        lease = Lease(engine: engine)
        connection = BrokerConnection(lease: lease, name: "embedded", client: ClientDescription())
        door = Door(connection: connection)
        virtualHost = .default
        try start(retryMilliseconds: configuration.retryMilliseconds)
    }

    /// The broker `other` as another virtual host has it.
    init(_ other: Broker, door: Door, in virtualHost: VirtualHostName) {
        engine = other.engine
        lease = other.lease
        connection = other.connection
        self.door = door
        self.virtualHost = virtualHost
    }

    /// Starts the threads. They hold the engine, not the lease, so that a broker can be let go of.
    private func start(retryMilliseconds: @escaping @Sendable (Int) -> Int) throws(BrokerError) {
        let engine = engine
        let hasWriter = startWorkerThread("leveret-writer") {
            var writer = Writer(engine: engine, retryMilliseconds: retryMilliseconds)
            engine.ended(with: writer.run())
        }
        let hasReader = startWorkerThread("leveret-reader") { engine.reader.run(for: engine) }
        let hasSearcher = startWorkerThread("leveret-search") { engine.searcher.run(for: engine) }
        let hasTimer = startWorkerThread("leveret-timer") {
            var timekeeper = Timekeeper(engine: engine)
            timekeeper.run()
        }
        guard !(hasWriter && hasReader && hasSearcher && hasTimer) else { return }
        // The lease ends what runs. The writer's end, which closes the store, waits for those that read it.
        if !hasReader { engine.reader.neverRuns() }
        if !hasSearcher { engine.searcher.neverRuns() }
        if !hasWriter {
            engine.stop()
            engine.ended(with: nil)
        }
        throw BrokerError(
            .resourceError, "the system has no room for the broker's threads; raise its limit on threads")
    }

    /// Opens a connection for a server's client. `name` is shown in listings: an address, or what the client
    /// calls itself.
    ///
    /// - Parameter client: what listings show of it beside its name.
    /// - Parameter onKill: called when an operator wants the connection closed, with the reason; without it, it can't
    ///   be closed that way. It runs on any thread, outside all locks, and must only pass the word on.
    public func openConnection(
        name: String, client: ClientDescription = ClientDescription(),
        onKill: (@Sendable (_ reason: String) -> Void)? = nil
    ) -> BrokerConnection {
        BrokerConnection(lease: lease, name: name, client: client, onKill: onKill)
    }
}

/// What keeps a broker's threads running: the broker and its connections hold it, and through these their
/// sessions, consumers and unsettled messages. The broker ends with the last of them.
final class Lease: Sendable {
    let engine: Engine

    init(engine: Engine) { self.engine = engine }

    deinit { engine.stop() }
}
