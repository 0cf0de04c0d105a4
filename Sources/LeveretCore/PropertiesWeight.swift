// What properties and headers take up in memory, about: they count against the same limits as bodies, since a message
// may be nothing but headers. SharedProperties asks once, when it is made.

extension MessageProperties {
    /// Bytes beside the flat rate of a message that has properties at all. O(headers).
    var weight: Int {
        // Added up one by one: a list of them would be allocated for each message.
        var sum = headers.weight
        func add(_ text: String?) { if let text { sum += text.weight } }
        add(contentType)
        add(contentEncoding)
        add(correlationID)
        add(replyTo)
        add(expiration)
        add(messageID)
        add(type)
        add(userID)
        add(appID)
        add(clusterID)
        return sum
    }
}

extension FieldTable {
    /// Bytes of its fields. O(fields).
    package var weight: Int {
        fields.reduce(0) { $0 + MemoryLayout<Field>.stride + $1.name.weight + $1.value.weight }
    }
}

extension FieldValue {
    /// Bytes that it has elsewhere than in itself.
    fileprivate var weight: Int {
        switch self {
        case .string(let text): text.weight
        case .bytes(let bytes): bytes.count + heapOverhead
        case .array(let values):
            values.reduce(heapOverhead) { $0 + MemoryLayout<FieldValue>.stride + $1.weight }
        case .table(let table): table.weight + heapOverhead
        case .bool, .int, .double, .decimal, .timestamp, .void: 0
        }
    }
}

extension String {
    /// Bytes that it has elsewhere than in itself: short ones have none.
    fileprivate var weight: Int { utf8.count > 15 ? utf8.count + heapOverhead : 0 }
}

/// What an allocation costs beside its bytes.
private let heapOverhead = 32
