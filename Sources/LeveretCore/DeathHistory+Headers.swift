// The history of a dead letter in its two written forms: the headers that AMQP clients know from RabbitMQ,
// and the JSON text of the database's column `deaths`.

extension DeathHistory {
    /// `x-death` and what goes with it, for the headers of a delivery. Times are seconds, as AMQP has them. The
    /// history that a client published with the message goes on in it, as in RabbitMQ, and what that says of the
    /// first death stays: the broker tells of it, and never acts on it.
    public func xDeathHeaders(after published: FieldTable = FieldTable()) -> FieldTable {
        var headers = FieldTable()
        if case .array(let values)? = published[HeaderName.death] {
            var earlier = EarlierDeaths(values)
            let tables = deaths.map { earlier.continued(by: $0) }
            headers[HeaderName.death] = .array((tables + earlier.tables).map { .table($0) })
        } else {
            headers[HeaderName.death] = .array(deaths.map { .table($0.headerTable) })
            headers[HeaderName.firstDeathQueue] = .string(originQueue.rawValue)
            headers[HeaderName.firstDeathReason] = .string(firstReason.rawValue)
            headers[HeaderName.firstDeathExchange] = .string(firstExchange.rawValue)
        }
        if let last = deaths.first {
            headers[HeaderName.lastDeathQueue] = .string(last.queue.rawValue)
            headers[HeaderName.lastDeathReason] = .string(last.reason.rawValue)
            headers[HeaderName.lastDeathExchange] = .string(last.exchange.rawValue)
        }
        return headers
    }

    /// The whole history as one line of JSON, times in milliseconds since 1970; `init(jsonText:)` reads it.
    public func jsonText() -> String {
        var table: FieldTable = [
            "origin": .string(originQueue.rawValue),
            "reason": .string(firstReason.rawValue),
            "exchange": .string(firstExchange.rawValue),
            "first": .int(firstTime.milliseconds),
            "last": .int(lastTime.milliseconds),
        ]
        table["error"] = errorText.map { .string($0) }
        if copies > 1 { table["copies"] = .int(Int64(copies)) }
        table["deaths"] = .array(deaths.map { .table($0.jsonTable) })
        return JSONText.write(table)
    }

    /// The history that `jsonText` wrote. Throws 502 naming what is wrong with any other text.
    public convenience init(jsonText: String) throws(BrokerError) {
        let reader = HistoryReader(table: try JSONText.readTable(jsonText))
        let deaths = try reader.tables("deaths").mapDeaths()
        guard !deaths.isEmpty else { throw reader.error("deaths", "at least one death") }
        self.init(
            deaths: deaths,
            originQueue: QueueName(try reader.string("origin")),
            firstReason: try reader.reason(),
            firstExchange: ExchangeName(try reader.string("exchange")),
            firstTime: Instant(stored: try reader.integer("first")),
            lastTime: Instant(stored: try reader.integer("last")),
            errorText: try reader.optionalString("error"),
            copies: reader.table["copies"] == nil ? 1 : Int(clamping: try reader.integer("copies")))
    }
}

extension Death {
    /// One entry of `x-death`.
    fileprivate var headerTable: FieldTable {
        var table: FieldTable = [
            "count": .int(count),
            "reason": .string(reason.rawValue),
            "queue": .string(queue.rawValue),
            "time": .timestamp(time.milliseconds / 1000),
            "exchange": .string(exchange.rawValue),
            "routing-keys": .array(routingKeys.map { .string($0) }),
        ]
        table["original-expiration"] = originalExpiration.map { .string($0) }
        return table
    }

    fileprivate var jsonTable: FieldTable {
        var table: FieldTable = [
            "queue": .string(queue.rawValue),
            "reason": .string(reason.rawValue),
            "count": .int(count),
            "exchange": .string(exchange.rawValue),
            "keys": .array(routingKeys.map { .string($0) }),
            "time": .int(time.milliseconds),
        ]
        table["expiration"] = originalExpiration.map { .string($0) }
        return table
    }

    fileprivate init(_ reader: HistoryReader) throws(BrokerError) {
        let count = try reader.integer("count")
        guard (1...Self.countMax).contains(count) else {
            throw reader.error("count", "a number from 1 to \(Self.countMax)")
        }
        self.init(
            queue: QueueName(try reader.string("queue")),
            reason: try reader.reason(),
            count: count,
            exchange: ExchangeName(try reader.string("exchange")),
            routingKeys: try reader.strings("keys"),
            time: Instant(stored: try reader.integer("time")),
            originalExpiration: try reader.optionalString("expiration"))
    }
}

/// The entries of an `x-death` that a client published: one for each queue and reason, in their order.
private struct EarlierDeaths {
    private struct Key: Hashable {
        let queue: FieldValue?
        let reason: FieldValue?

        init(_ table: FieldTable) { (queue, reason) = (table["queue"], table["reason"]) }
    }

    private var entries: [(table: FieldTable, count: Int64)?] = []
    private var places: [Key: Int] = [:]

    /// Entries without a count, as from before RabbitMQ 3.6, are counted.
    init(_ values: [FieldValue]) {
        for case .table(let table) in values {
            if let place = places[Key(table)] {
                if entries[place]?.table["count"] == nil { entries[place]?.count += 1 }
                continue
            }
            places[Key(table)] = entries.count
            var count: Int64 = 1
            if case .int(let counted)? = table["count"] { count = min(max(counted, 0), Death.countMax) }
            entries.append((table, count))
        }
    }

    /// What none of the deaths since has gone on from.
    var tables: [FieldTable] { entries.compactMap { $0.map { Self.table($0.table, $0.count) } } }

    /// The entry of a death since, which is the earlier one with a higher count if there is one.
    mutating func continued(by death: Death) -> FieldTable {
        let own = death.headerTable
        guard let place = places[Key(own)], let entry = entries[place].take() else { return own }
        return Self.table(entry.table, entry.count + death.count)
    }

    private static func table(_ table: FieldTable, _ count: Int64) -> FieldTable {
        var table = table
        table["count"] = .int(count)
        return table
    }
}

/// Takes typed values out of one object of the history.
private struct HistoryReader {
    let table: FieldTable

    func string(_ name: String) throws(BrokerError) -> String {
        guard case .string(let text)? = table[name] else { throw error(name, "a string") }
        return text
    }

    func optionalString(_ name: String) throws(BrokerError) -> String? {
        table[name] == nil ? nil : try string(name)
    }

    func integer(_ name: String) throws(BrokerError) -> Int64 {
        guard case .int(let value)? = table[name] else { throw error(name, "a whole number") }
        return value
    }

    func reason() throws(BrokerError) -> DeathReason {
        guard let reason = DeathReason(rawValue: try string("reason")) else {
            throw error("reason", DeathReason.allCases.map(\.rawValue).joined(separator: ", "))
        }
        return reason
    }

    func strings(_ name: String) throws(BrokerError) -> [String] {
        var strings: [String] = []
        for value in try array(name) {
            guard case .string(let text) = value else { throw error(name, "strings") }
            strings.append(text)
        }
        return strings
    }

    func tables(_ name: String) throws(BrokerError) -> [HistoryReader] {
        var tables: [HistoryReader] = []
        for value in try array(name) {
            guard case .table(let table) = value else { throw error(name, "objects") }
            tables.append(HistoryReader(table: table))
        }
        return tables
    }

    func error(_ name: String, _ expected: String) -> BrokerError {
        let given = table[name].map { "'\($0.shown)' of type '\($0.typeName)'" } ?? "nothing"
        return BrokerError(.syntaxError, "bad death history: '\(name)' is \(given); expected \(expected)")
    }

    private func array(_ name: String) throws(BrokerError) -> [FieldValue] {
        guard case .array(let values)? = table[name] else { throw error(name, "an array") }
        return values
    }
}

extension [HistoryReader] {
    fileprivate func mapDeaths() throws(BrokerError) -> [Death] {
        var deaths: [Death] = []
        for reader in self { deaths.append(try Death(reader)) }
        return deaths
    }
}
