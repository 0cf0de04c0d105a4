// What the core tells its owner besides the batch: reads, wakes, events. Values only.

/// Something that happened to the broker, for those who listen to it.
public enum BrokerEvent: Sendable, Hashable {
    /// A virtual host was created; creating one that is there is no event.
    case virtualHostCreated(VirtualHostName)
    /// A virtual host was deleted; its queues go after it.
    case virtualHostDeleted(VirtualHostName)
    /// A queue was made; declaring one that is there is no event.
    case queueDeclared(QueueName, in: VirtualHostName)
    /// A queue went: deleted, expired, or with its last consumer or its connection.
    case queueDeleted(QueueName, in: VirtualHostName)
    /// An exchange was made.
    case exchangeDeclared(ExchangeName, in: VirtualHostName)
    /// An exchange went: deleted, or with its last binding.
    case exchangeDeleted(ExchangeName, in: VirtualHostName)
    /// A consumer began.
    case consumerAdded(QueueName, ConsumerTag, in: VirtualHostName)
    /// A consumer ended.
    case consumerRemoved(QueueName, ConsumerTag, in: VirtualHostName)
    /// A message that should have been dead-lettered went to the parking queue; the text says why.
    case messageParked(QueueName, String, in: VirtualHostName)
    /// Something is wrong from here on, and publishes may be refused for it; the text says what.
    case alarmRaised(String)
    /// Nothing is wrong any more.
    case alarmCleared
}

/// What can run out; one alarm for each.
public enum AlarmCause: Sendable, Hashable, CaseIterable {
    /// The store takes no writes.
    case store
    /// The disk is nearly full.
    case disk
    /// The process has taken too much memory.
    case memory
    /// As many clients are connected as may be.
    case connections

    /// True where publishes make it worse.
    var refusesPublishes: Bool { self != .connections }
}

/// How soon the writer should take what has gathered.
public enum CommitWish: Int, Sendable, Comparable {
    /// There is nothing to commit.
    case none
    /// Only removals that nobody waits for: within 5 ms, or with whatever comes.
    case lazy
    /// Somebody waits.
    case now

    /// Orders wishes by urgency.
    public static func < (a: Self, b: Self) -> Bool { a.rawValue < b.rawValue }
}

/// A connection that an operator wants closed.
public struct Closing: Sendable, Hashable {
    /// Which.
    public var connection: ConnectionID
    /// Why, in the operator's words.
    public var reason: String
}

/// What the owner of the core must do once it has let go of the lock.
public struct CoreOutputs: Sendable {
    /// Reads to make; each answer goes to `loaded`.
    public var loads: [LoadRequest] = []
    /// Searches to make; what each finds goes to `searched`.
    public var searches: [Search] = []
    /// Sessions that have events waiting and don't know it; each is named once until it is drained.
    public var wakes: [SessionID] = []
    /// Connections that whoever opened them is to close.
    public var closings: [Closing] = []
    /// What is to be logged from here on; `nil` where nobody has asked for a change.
    public var logLevel: LogLevel?
    /// For those who listen.
    public var events: [BrokerEvent] = []

    /// Nothing to do.
    public init() {}
}

/// What the broker knows of its surroundings and tells the core, for STAT.
public struct BrokerFacts: Sendable {
    /// Leveret's version.
    public var version = ""
    /// The database file; empty in memory.
    public var database = ""
    /// Which file that is: its device and number there; empty in memory.
    public var databaseID = ""
    /// Bytes of the database file and its write-ahead log.
    public var databaseBytes = 0
    /// Bytes that are free on its disk; `nil` where nobody knows.
    public var diskFreeBytes: Int?
    /// Resident memory of the process in bytes.
    public var residentBytes = 0
    /// What the server in front keeps to, each by its name.
    public var limits = FieldTable()
    /// From which weight on the process logs; `nil` where that can't be changed by a request.
    public var logLevel: LogLevel?

    /// Nothing known.
    public init() {}
}
