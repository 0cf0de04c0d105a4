// The history of a dead letter in its two written forms: the headers that AMQP clients know from RabbitMQ,
// and the JSON text of the database's column `deaths`.

extension DeathHistory {
    /// `x-death` and what goes with it, for the headers of a delivery. Times are seconds, as AMQP has them.
    public func xDeathHeaders() -> FieldTable {
        var headers: FieldTable = [
            HeaderName.death: .array(deaths.map { .table($0.headerTable) }),
            HeaderName.firstDeathQueue: .string(originQueue.rawValue),
            HeaderName.firstDeathReason: .string(firstReason.rawValue),
            HeaderName.firstDeathExchange: .string(firstExchange.rawValue),
        ]
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
