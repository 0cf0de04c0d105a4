// Every bound of the core in one table.

/// What the core allows at most. The defaults suit a machine with a few GiB of memory.
public struct CoreLimits: Sendable, Hashable {
    /// Ready messages that a queue keeps in memory at its head; what comes behind them is only stored.
    public var windowCountMax = 4096
    /// Bytes of these messages per queue.
    public var windowBytesMax = 4 << 20
    /// Bytes of messages in memory over all queues and sessions. Past it a queue keeps `windowCountMin`.
    public var messageBytesMax = 64 << 20
    /// Messages that a queue may keep in memory whatever the budget says.
    public var windowCountMin = 16
    /// Bytes of the batch being gathered past which publishers are held back.
    public var gatheredBytesMax = 32 << 20
    /// Bytes of one body.
    public var bodyBytesMax = 128 << 20
    /// Deliveries that one session may hold unsettled.
    public var unackedCountMax = 1 << 20
    /// Body bytes that one session may hold unsettled.
    public var unackedBytesMax = 256 << 20
    /// Bytes that wait for a session to drain them past which its consumers and GETs get no more.
    public var outgoingBytesMax = 1 << 20
    /// Requests of one transaction.
    public var transactionCountMax = 100_000
    /// Body bytes of one transaction.
    public var transactionBytesMax = 64 << 20
    /// Messages that one PEEK shows.
    public var peekCountMax = 1000
    /// Bytes of these messages; the one that passes it is the last.
    public var peekBytesMax = 1 << 20
    /// Bytes of a condition (`where`) or a query.
    public var queryTextBytesMax = 8192
    /// Milliseconds that one search or query may run.
    public var queryMillisecondsMax = 2_000
    /// Rows that one query answers with.
    public var queryRowsMax = 10_000
    /// Bytes of these rows.
    public var queryBytesMax = 4 << 20
    /// Bytes of one value in a query or condition; longer bodies are not looked into.
    public var queryValueBytesMax = 1 << 20
    /// Bytes that SQLite may take up while one query runs.
    public var queryMemoryMax = 128 << 20
    /// Searches that wait or run.
    public var searchesWaitingMax = 64
    /// Places that a MOVE with a condition looks for at once.
    public var moveSearchMax = 4_096
    /// Bytes of a consumer's error text; the rest is cut off.
    public var errorTextBytesMax = 1024
    /// Bytes of the parking queue; then the oldest go.
    public var parkedBytesMax = 1 << 30
    /// Entries of a dead letter's history; then it is parked.
    public var deathsMax = 128
    /// Copies that dead-lettering makes of one message where one death after the other has several queues to go to,
    /// without a rejection in between; then they are parked.
    public var deadLetterCopiesMax = 1000
    /// Messages that one slice of long work handles before the lock is let go.
    public var sliceCount = 256
    /// Rows that one page of a listing has.
    public var pageRowsMax = 128
    /// How many things a page looks at to find its rows.
    public var pageLooksMax = 4096
    /// Slices of long work in one batch, so that a commit is not long for whoever else waits for it.
    public var slicesPerBatch = 1
    /// Delayed messages are read into memory so many milliseconds before they are due.
    public var delayedLookaheadMilliseconds: Int64 = 1_000
    /// A delivery held for so many milliseconds is written down as held, so that a crash counts.
    public var heldMarkMilliseconds: Int64 = 50
    /// Deliveries whose leases ended that a session remembers, so that a late ack can be told.
    public var expiredLeasesMax = 1024
    /// Consumers, and holders, that one WHY tells of.
    public var reasonsMax = 20
    /// Ids that deduplication keeps in memory; what it has seen before those, the store knows.
    public var seenIDsMax = 100_000
    /// Bytes of filters that tell which ids can't be among those, one and a half an id.
    public var idFilterBytesMax = 16 << 20
    /// Virtual hosts.
    public var virtualHostsMax = 1000
    /// Queues of a deleted virtual host that go before the lock is let go.
    public var deletedQueuesPerSlice = 64
    /// Policies over all virtual hosts, operator policies among them.
    public var policiesMax = 1000
    /// Users.
    public var usersMax = 10_000
    /// Topic permissions of a user; one more is refused with 506.
    public var topicPermissionsMax = 1_000
    /// Queues that look at changed policies before the lock is let go.
    public var policySliceCount = 64
    /// Message numbers reserved at once, so that none is used again after a crash.
    public var numbersReserved: Int64 = 65_536

    /// The defaults.
    public init() {}
}
