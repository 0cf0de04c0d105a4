// What a replay makes of a message: it goes as it was published at first, and tells that it was replayed. MOVE
// calls it; where the message goes is decided there.

extension Entry {
    /// The message as it is replayed from a queue: `message`, else its own, with the exchange and the key that it had
    /// when it died first, and with one mark more. Its history goes with it beside this.
    func replayed(_ message: Message?, from queue: MessageQueue, now: Instant) -> Message? {
        guard let message = message ?? self.message else { return nil }
        var properties = message.properties ?? MessageProperties()
        var count: Int64 = 0
        if case .int(let before)? = properties.headers[HeaderName.replayCount] {
            count = min(max(before, 0), Death.countMax)
        }
        properties.headers[HeaderName.replayedFrom] = .string(queue.name.rawValue)
        properties.headers[HeaderName.replayedAt] = .string(now.iso8601)
        properties.headers[HeaderName.replayCount] = .int(count + 1)
        let first = deaths?.firstDeath
        return Message(
            exchange: first?.exchange ?? message.exchange,
            routingKey: first?.routingKeys.first ?? message.routingKey, properties: properties,
            isPersistent: message.isPersistent, body: message.body)
    }
}

extension DeathHistory {
    /// The entry of the first death; it may have died there again since.
    private var first: Death? { deaths.last { $0.queue == originQueue && $0.reason == firstReason } }

    /// The first death, or the one that is known to be the oldest.
    fileprivate var firstDeath: Death? { first ?? deaths.last }
}
