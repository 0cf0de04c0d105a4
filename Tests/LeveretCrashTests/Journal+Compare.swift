// What the queues hold after a restart, held against what was promised.

/// A message that a server handed out after a crash.
struct Found: Hashable, Sendable, ExpressibleByIntegerLiteral {
    /// Its publisher's count.
    var sequence: Int
    /// How often its body was edited.
    var edition = 0
    /// It waits for a time that is far off.
    var isFarOff = false

    /// A message.
    init(_ sequence: Int, edition: Int = 0, isFarOff: Bool = false) {
        self.sequence = sequence
        self.edition = edition
        self.isFarOff = isFarOff
    }

    /// The message of a body that begins with its number and its edition; `nil` where it doesn't.
    init?(body: some Collection<UInt8>) {
        let words = String(decoding: body.prefix(40), as: UTF8.self).split(separator: " ")
        guard words.count > 1, let sequence = Int(words[0]), let edition = Int(words[1]) else { return nil }
        self.init(sequence, edition: edition)
    }

    /// A message that was never edited.
    init(integerLiteral value: Int) { sequence = value }
}

extension Journal {
    /// Compares what the queues hold after a restart, in their order, with what was promised.
    mutating func compare(with contents: [(queue: String, messages: [Found])]) {
        var places: [CopyKey: [String]] = [:]
        for (queue, messages) in contents {
            for message in messages {
                let key = key(queue, message.sequence)
                places[key, default: []].append(queue)
                copies[key]?.isFromBefore = false
                checkEdition(of: message, key)
            }
            checkOrder(of: messages.filter { !$0.isFarOff }.map(\.sequence), in: queue)
            found += messages.count
            if groups[queue]?.dead == queue { foundDead += messages.count }
        }
        for (key, copy) in copies { check(key, copy, places[key, default: []]) }
        checkTwins(places)
        checkReceipts(places)
        checkPairs(places)
        for (key, queues) in places where copies[key] == nil { fail("\(queues) holds unknown \(key)") }
        // What was not found can't come any more: it was never stored, or its ack was.
        copies = copies.filter { places[$0.key] != nil || $0.value.isAckAnswered || $0.value.isRefused }
    }

    private mutating func check(_ key: CopyKey, _ copy: Copy, _ queues: [String]) {
        if queues.count > 1 { fail("\(key) stands in \(queues)") }
        let isTransient = groups[key.group]?.isTransient == true
        if let queue = queues.first {
            if copy.isAckAnswered { fail("\(key), acked, is back in \(queue)") }
            if copy.isRefused { fail("\(key), refused, is in \(queue)") }
            if isTransient { fail("\(key), transient, has survived") }
        } else if copy.isConfirmed, copy.acksSent == 0, !copy.isCancelSent, !isTransient {
            fail("\(key), confirmed, is lost")
        }
        if copy.isRejectAnswered, queues.contains(key.group) { fail("\(key), dead-lettered, is back") }
    }

    /// An answered edit is what is there; one without an answer may be.
    private mutating func checkEdition(of message: Found, _ key: CopyKey) {
        guard let copy = copies[key] else { return }
        if message.edition < copy.editionAnswered || message.edition > copy.editionSent {
            fail("\(key) has edition \(message.edition), not \(copy.editionAnswered)")
        }
    }

    /// A publish to several queues is in all of them or in none, until it is acked.
    private mutating func checkTwins(_ places: [CopyKey: [String]]) {
        for (key, copy) in copies {
            for twin in twins where key.group == twin.0 || key.group == twin.1 {
                let other = CopyKey(group: key.group == twin.0 ? twin.1 : twin.0, sequence: key.sequence)
                let isGone = places[key] == nil && copy.acksSent == 0
                if isGone, places[other] != nil { fail("\(other) is there without \(key)") }
            }
        }
    }

    /// What a transaction acks, publishes again and gives a receipt for: all three, or nothing.
    private mutating func checkReceipts(_ places: [CopyKey: [String]]) {
        guard let receipts else { return }
        for (key, queues) in places where key.group == receipts.group {
            let done = self.key(receipts.queue, key.sequence)
            if places[done] != [receipts.queue] {
                fail("\(queues) has a receipt for \(done), which stands in \(places[done, default: []])")
            }
        }
        for (key, queues) in places where queues == [receipts.queue] {
            if places[CopyKey(group: receipts.group, sequence: key.sequence)] == nil {
                fail("\(key) is in \(receipts.queue) without a receipt")
            }
        }
    }

    /// No two messages with one id are in a queue that drops doubles of what is there.
    private mutating func checkPairs(_ places: [CopyKey: [String]]) {
        for (key, queues) in places where key.sequence % 2 == 0 && groups[key.group]?.pairsIDs == true {
            let other = CopyKey(group: key.group, sequence: key.sequence + 1)
            if queues.contains(key.group), places[other, default: []].contains(key.group) {
                fail("\(key) and \(other.sequence) have one id and are both there")
            }
        }
    }

    /// Messages leave by priority, and equal ones in publish order, whatever was requeued; so do dead letters
    /// that expired or overflowed.
    private mutating func checkOrder(of sequences: [Int], in queue: String) {
        guard let group = groups[queue] else { return }
        guard queue == group.source || group.keepsOrder else { return }
        let styles = sequences.map { copies[key(queue, $0)]?.style ?? Copy.Style() }
        for (before, after) in zip(styles, styles.dropFirst()) where before.priority < after.priority {
            fail("\(queue) gave priority \(after.priority) after \(before.priority)")
        }
        let ordered = zip(sequences, styles).filter { !$0.1.isUnordered }
        for (before, after) in zip(ordered, ordered.dropFirst())
        where before.1.priority == after.1.priority && before.0 >= after.0 {
            fail("\(queue) gave \(after.0) after \(before.0)")
        }
    }
}
