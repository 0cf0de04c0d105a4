// One who takes messages from a queue as they come, with the credit that bounds it. Data; BrokerCore+Consumers.swift
// makes and ends it, BrokerCore+Dispatch.swift hands it messages.

/// One who takes messages from a queue as they come.
final class Consumer {
    let tag: ConsumerTag
    /// Counts up over the whole broker.
    let serial: UInt64
    unowned let session: Session
    unowned let queue: MessageQueue
    let source: DeliverySource
    let prefetch: Int
    let isExclusive: Bool
    let priority: Int32
    /// Each delivery to it is written down before it is made.
    let countsFirst: Bool
    /// Its own; else the queue's counts.
    let ownTimeoutMilliseconds: Int64?
    @exclusivity(unchecked) var unacked = 0
    var isCancelled = false

    init(
        _ consume: Consume, tag: ConsumerTag, serial: UInt64, session: Session, queue: MessageQueue
    ) {
        self.tag = tag
        self.serial = serial
        self.session = session
        self.queue = queue
        source = DeliverySource(queue: consume.queue, consumer: tag, autoAck: consume.autoAck)
        prefetch = consume.prefetch
        isExclusive = consume.isExclusive
        priority = consume.priority
        countsFirst = consume.countsFirst
        ownTimeoutMilliseconds = consume.timeoutMilliseconds
    }

    /// How long it may hold a message unsettled; `nil` is for ever.
    var timeoutMilliseconds: Int64? {
        ownTimeoutMilliseconds ?? queue.settings.consumerTimeoutMilliseconds
    }

    /// True while it may be handed one more message.
    var hasCredit: Bool {
        (prefetch == 0 || unacked < prefetch) && session.hasCredit(for: self)
    }
}
