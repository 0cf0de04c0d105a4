// The bindings of one exchange, filed by what its type looks up: the key, the pattern, the headers. It
// finds the bindings that match; where they lead and what comes of it is the router's business.

/// Where a binding leads, in four bytes: a queue's slot, or an exchange's index as its complement.
struct Destination: Hashable {
    let rawValue: Int32

    init(_ slot: QueueSlot) { rawValue = slot.rawValue }
    init(exchange index: Int) { rawValue = ~Int32(index) }

    var queue: QueueSlot? { rawValue >= 0 ? QueueSlot(rawValue) : nil }
    var exchange: Int? { rawValue < 0 ? Int(~rawValue) : nil }
}

/// A binding as its exchange files it.
struct BindingEntry {
    /// Counts up over the whole topology; the order in which bindings were made.
    let id: Int
    let destination: Destination
}

/// The bindings of one exchange.
struct BindingTable {
    /// Ids ascending.
    typealias Bucket = ContiguousArray<BindingEntry>
    /// A binding with what it was filed with.
    typealias Filed = (id: Int, binding: Binding, destination: Destination)

    /// One of the four that route by themselves.
    private let type: ExchangeType
    /// Every binding's id.
    private(set) var ids: Set<Int> = []
    /// Of these, how many lead to an exchange.
    private(set) var exchangeTargets = 0
    private var byKey: [ByteKey: Bucket] = [:]
    private var all: Bucket = []
    private var conditions: [Int: HeadersMatch] = [:]
    private var trie = TopicTrie()
    private var byPattern: [Int32: Bucket] = [:]

    init(_ type: ExchangeType) { self.type = type }

    /// Files a binding; `id` is above all before. Throws 406 for headers arguments that make no sense.
    mutating func add(_ binding: Binding, id: Int, destination: Destination) throws(BrokerError) {
        let entry = BindingEntry(id: id, destination: destination)
        switch type {
        case .direct, .delayed: byKey[ByteKey(binding.routingKey), default: []].append(entry)
        case .fanout: all.append(entry)
        case .headers:
            conditions[id] = try HeadersMatch(binding.arguments)
            all.append(entry)
        case .topic: byPattern[trie.insert(binding.routingKey), default: []].append(entry)
        }
        ids.insert(id)
        if destination.exchange != nil { exchangeTargets += 1 }
    }

    /// Takes bindings out that were filed with these parts; their ids ascend. O(bindings), however many go.
    mutating func remove(_ gone: [Filed]) {
        switch type {
        case .direct, .delayed:
            for (key, gone) in Self.byKey(gone) {
                Self.remove(gone, from: &byKey[key, default: []])
                if byKey[key]?.isEmpty == true { byKey[key] = nil }
            }
        case .fanout: Self.remove(gone, from: &all)
        case .headers:
            for binding in gone { conditions[binding.id] = nil }
            Self.remove(gone, from: &all)
        case .topic:
            for gone in Self.byKey(gone).values {
                let node = trie.insert(gone[0].binding.routingKey)
                Self.remove(gone, from: &byPattern[node, default: []])
                if byPattern[node]?.isEmpty == true {
                    byPattern[node] = nil
                    trie.remove(node)
                }
            }
        }
        for (id, _, destination) in gone {
            ids.remove(id)
            if destination.exchange != nil { exchangeTargets -= 1 }
        }
    }

    private static func byKey(_ filed: [Filed]) -> [ByteKey: [Filed]] {
        Dictionary(grouping: filed) { ByteKey($0.binding.routingKey) }
    }

    /// The bindings that match `key`, ids ascending. `headers` matters to a headers exchange only.
    mutating func matches(key: String, headers: inout HeaderLookup) -> Bucket {
        switch type {
        case .direct, .delayed: return byKey[ByteKey(key)] ?? []
        case .fanout: return all
        case .headers: return all.filter { conditions[$0.id]?.matches(&headers) == true }
        case .topic:
            let nodes = trie.matches(key)
            if nodes.count == 1 { return byPattern[nodes[0]] ?? [] }
            var found: Bucket = []
            for node in nodes { found.append(contentsOf: byPattern[node] ?? []) }
            found.sort { $0.id < $1.id }
            return found
        }
    }

    /// Removes the entries of these bindings. O(log bucket) to find the first, then one pass.
    private static func remove(_ gone: [Filed], from bucket: inout Bucket) {
        var (low, high) = (0, bucket.count)
        while low < high {
            let middle = (low + high) / 2
            if bucket[middle].id < gone[0].id { low = middle + 1 } else { high = middle }
        }
        var (kept, next) = (low, 0)
        for index in low..<bucket.count {
            if next < gone.count, bucket[index].id == gone[next].id {
                next += 1
            } else {
                bucket[kept] = bucket[index]
                kept += 1
            }
        }
        bucket.removeLast(bucket.count - kept)
    }
}
