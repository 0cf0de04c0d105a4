// What `DatabaseInspector.verify` finds. The names of the kinds are a promise to scripts (docs/cli.md, verify).

/// Something in a database file that a broker did not write so.
public struct DatabaseFault: Hashable, Sendable {
    /// What is wrong.
    public enum Kind: String, CaseIterable, Sendable {
        /// SQLite finds its own structure damaged.
        case pages
        /// An exchange, queue, binding or policy doesn't decode.
        case definitions
        /// A message's queue doesn't exist.
        case queueMissing = "queue_missing"
        /// Two messages of a queue stand at one place.
        case placeShared = "place_shared"
        /// A message is delayed but has a place, or the other way round.
        case placeWrong = "place_wrong"
        /// A queue with priorities has a message without, or the other way round.
        case priorityWrong = "priority_wrong"
        /// A message's body isn't there.
        case bodyMissing = "body_missing"
        /// A body belongs to no message.
        case bodyOrphaned = "body_orphaned"
        /// A message's size is not that of its body.
        case sizeWrong = "size_wrong"
        /// Properties, headers or a history of deaths don't decode.
        case contents
        /// What is noted of who holds a message belongs to no message, or to another queue.
        case heldOrphaned = "held_orphaned"
        /// A binding leads from or to what doesn't exist.
        case bindingDangling = "binding_dangling"
        /// Ids are remembered for a queue or exchange that doesn't exist.
        case dedupOrphaned = "dedup_orphaned"
        /// A pause is noted for a queue that doesn't exist.
        case pauseOrphaned = "pause_orphaned"
        /// A permission is of a user or a virtual host that doesn't exist.
        case permissionOrphaned = "permission_orphaned"
        /// A topic permission is of a user or a virtual host that doesn't exist.
        case topicPermissionOrphaned = "topic_permission_orphaned"
        /// A number can't be: negative, no number at all, or in use although never given out.
        case numbers
    }

    /// What is wrong.
    public var kind: Kind
    /// How often.
    public var count: Int
    /// What was found: lower case, no full stop; names the first few.
    public var text: String
    /// What to do about it.
    public var advice: String
}

/// What a look through a database file has found.
public struct DatabaseFindings: Hashable, Sendable {
    /// What is wrong, one for each kind; none where the database is sound.
    public var faults: [DatabaseFault] = []
    /// Messages in the file.
    public var messages = 0
    /// Queues in the file.
    public var queues = 0
    /// Bytes of the database, its log not counted.
    public var bytes = 0
}
