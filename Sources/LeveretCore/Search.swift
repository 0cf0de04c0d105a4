// What crosses from the core to the searcher: messages wanted by a condition, queries, and what the core knows
// that the file does not. Values only; BrokerCore+Search asks, and hears what was found.

/// A search that the store is to make once the batch `barrier` is committed.
public struct Search: Sendable {
    /// What is looked for.
    public enum Kind: Sendable {
        /// Messages of a queue, for people.
        case messages(Peek, QueueOverlay)
        /// Where the ready messages of a queue stand, for MOVE.
        case places(PlaceSearch, QueueOverlay)
        /// Rows of a query.
        case query(String)
    }

    /// Handed back with what was found.
    public var number: UInt64
    /// Who asked: searches of different sessions take turns.
    public var session: SessionID
    /// What is looked for.
    public var kind: Kind
    /// When it was asked: what has expired by then is not found.
    public var now: Instant
    /// The batch that must be committed first.
    public var barrier: BatchNumber
}

/// Ready messages that meet a condition, behind one place and up to another, in order of delivery.
public struct PlaceSearch: Sendable, Hashable {
    /// An SQL expression over a message's fields.
    public var condition: String
    /// Only behind this one.
    public var after: FoundPlace?
    /// Only with places up to this one.
    public var through: MessageNumber
    /// At most so many.
    public var countMax: Int
}

/// Where a message stands that was found.
public struct FoundPlace: Sendable, Hashable {
    /// Its number.
    public var number: MessageNumber
    /// Its place; 0 or less while it is delayed.
    public var place: MessageNumber
    /// Its priority; `nil` in a queue without priorities.
    public var priority: UInt8?
    /// Its version.
    public var version: Int32

    /// A place of these parts.
    public init(number: MessageNumber, place: MessageNumber, priority: UInt8?, version: Int32) {
        self.number = number
        self.place = place
        self.priority = priority
        self.version = version
    }
}

/// What the core knows of a queue beside what is stored.
public struct QueueOverlay: Sendable {
    /// A copy in memory: what the store may not know of it yet.
    public struct Note: Sendable {
        /// The copy.
        public var number: MessageNumber
        /// How often it failed.
        public var failed: Int32
        /// How often it was delivered.
        public var acquired: Int32
        /// Who holds it; `nil` when nobody does.
        public var heldBy: String?
        /// Since when.
        public var heldSince: Instant?
    }

    /// The queue.
    public var queue: QueueID
    /// It tells priorities apart.
    public var hasPriorities: Bool
    /// Copies that are in memory only: rows as they would be written.
    public var inMemory: ContiguousArray<InsertRow> = []
    /// What is held or was delivered before.
    public var notes: [Note] = []
}

/// What a search found.
public enum SearchFound: Sendable {
    /// For `messages`.
    case messages([PeekedMessage])
    /// For `places`; fewer than were asked for where there are no more.
    case places([FoundPlace])
    /// For `query`.
    case table(QueryResult)
}

/// The rows of a query.
public struct QueryResult: Sendable, Hashable {
    /// The names of the columns, each once.
    public var columns: [String]
    /// The rows, as many values in each as there are columns: `void` (NULL), `int`, `double`, `string` or `bytes`.
    public var rows: [[FieldValue]]

    /// A result of these parts.
    public init(columns: [String], rows: [[FieldValue]]) {
        self.columns = columns
        self.rows = rows
    }
}

extension MessageProperties {
    /// The properties as listings and conditions show them, without the headers; AMQP's names.
    public func listed(isPersistent: Bool) -> FieldTable {
        let texts = [
            ("message_id", messageID), ("expiration", expiration), ("type", type), ("reply_to", replyTo),
            ("correlation_id", correlationID), ("content_type", contentType),
            ("content_encoding", contentEncoding), ("user_id", userID), ("app_id", appID),
            ("cluster_id", clusterID),
        ]
        var table: FieldTable = ["delivery_mode": .int(isPersistent ? 2 : 1)]
        for (name, text) in texts { table[name] = text.map { .string($0) } }
        table["timestamp"] = timestamp.map { .int($0) }
        return table
    }
}

extension DeathHistory {
    /// The history as listings and conditions show it: a list of tables, newest first.
    public var listed: FieldValue {
        .array(
            deaths.map { death in
                var table: FieldTable = [
                    "queue": .string(death.queue.rawValue), "reason": .string(death.reason.rawValue),
                    "count": .int(death.count), "exchange": .string(death.exchange.rawValue),
                    "routing_keys": .array(death.routingKeys.map { .string($0) }),
                    "time": .string(death.time.iso8601),
                ]
                table["original_expiration"] = death.originalExpiration.map { .string($0) }
                return .table(table)
            }
        )
    }
}
