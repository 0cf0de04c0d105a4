// The view that a condition is compiled against: the fields of one message under the names that PEEK shows, for the
// messages of one queue in one state. The text is the store's own; only numbers are put into it.

import LeveretCore

/// A view over one queue's messages in one state.
struct MessageFields {
    /// The names that a condition may use, in the order in which PEEK shows them.
    static let names = [
        "position", "version", "state", "exchange", "key", "priority", "entered", "expires", "due",
        "deliveries", "failed", "size", "headers", "properties", "held_by", "held_since", "origin", "reason",
        "error", "deaths", "place", "body", "json",
    ]

    /// What the view has for the store beside them.
    static let ownNames = ["leveret_place", "leveret_priority", "leveret_due"]

    /// Whose rows they are.
    enum Holds {
        /// Those of the file: a database without its broker.
        case stored
        /// Those of the core, in the table `noted`; there are none.
        case none
        /// Those of the core, in the table `noted`.
        case noted
    }

    var queue: QueueID
    var state: Peek.State
    var hasPriorities: Bool
    var holds: Holds
    var now: Instant
    /// Only from this place, or position, on.
    var from: MessageNumber
    /// Only up to this place.
    var through = MessageNumber(.max)
    /// Only behind this message, in order of delivery.
    var after: FoundPlace?
    /// Bodies longer than this are null.
    var bodyBytesMax: Int

    /// The table of what the core knows.
    static let noted = """
        CREATE TEMP TABLE noted (
            message INTEGER PRIMARY KEY, failed INTEGER, acquired INTEGER, consumer TEXT, since INTEGER
        )
        """

    /// The order of delivery; with the state `unacked` that of positions.
    var order: String {
        switch state {
        case .ready: hasPriorities ? "leveret_priority DESC, leveret_place" : "leveret_place"
        case .unacked: "position"
        case .delayed: "leveret_due, position"
        }
    }

    /// The statement that makes the view.
    func definition(name: String) -> String {
        "CREATE TEMP VIEW \"\(name)\" AS SELECT \(columns) FROM \(tables) WHERE \(filter)"
    }

    private var columns: String {
        let body = """
            CASE WHEN m.size <= \(bodyBytesMax)
                THEN CAST(CASE WHEN m.body_id IS NULL THEN m.body ELSE b.body END AS TEXT) END
            """
        let (failed, acquired, holder, since) =
            switch holds {
            case .none: ("m.failed", "coalesce(h.acquired, 0)", "NULL", "NULL")
            case .stored: ("m.failed", "coalesce(h.acquired, 0)", "h.consumer", time("h.since"))
            case .noted:
                (
                    "coalesce(n.failed, m.failed)", "coalesce(n.acquired, h.acquired, 0)", "n.consumer",
                    time("n.since")
                )
            }
        return """
            m.id AS position, m.version AS version, '\(state.rawValue)' AS state, m.exchange AS exchange,
            m.routing_key AS key,
            CASE WHEN m.properties IS NOT NULL THEN message_priority(m.properties) END AS priority,
            \(time("m.entered")) AS entered, \(time("m.expires")) AS expires, \(time("m.due")) AS due,
            \(acquired) AS deliveries, \(failed) AS failed, m.size AS size,
            coalesce(m.headers, '{}') AS headers,
            CASE WHEN m.properties IS NULL THEN '{"delivery_mode":2}' ELSE message_properties(m.properties) END
                AS properties,
            \(holder) AS held_by, \(since) AS held_since, m.origin AS origin,
            json_extract(m.deaths, '$.deaths[0].reason') AS reason, m.last_error AS error,
            CASE WHEN m.deaths IS NOT NULL THEN message_deaths(m.deaths) END AS deaths,
            CASE WHEN m.place > 0 THEN m.place END AS place, \(body) AS body,
            CASE WHEN json_valid(\(body)) THEN \(body) END AS json,
            m.place AS leveret_place, m.priority AS leveret_priority, m.due AS leveret_due
            """
    }

    private var tables: String {
        let index =
            switch state {
            case .ready: hasPriorities ? "INDEXED BY message_priority" : "INDEXED BY message_place"
            case .unacked: ""
            case .delayed: "INDEXED BY message_due"
            }
        let joins = "LEFT JOIN body AS b ON b.id = m.body_id"
        switch (state, holds) {
        case (.unacked, .stored): return "held AS h CROSS JOIN message AS m ON m.id = h.message \(joins)"
        case (.unacked, .none), (.unacked, .noted):
            return """
                temp.noted AS n CROSS JOIN message AS m ON m.id = n.message
                LEFT JOIN held AS h ON h.message = m.id \(joins)
                """
        case (_, .noted):
            return """
                message AS m \(index) LEFT JOIN temp.noted AS n ON n.message = m.id
                LEFT JOIN held AS h ON h.message = m.id \(joins)
                """
        default: return "message AS m \(index) LEFT JOIN held AS h ON h.message = m.id \(joins)"
        }
    }

    private var filter: String {
        var terms = ["m.queue = \(queue.rawValue)"]
        let holder: String? =
            switch holds {
            case .none: nil
            case .stored: "h.consumer"
            case .noted: "n.consumer"
            }
        switch state {
        case .ready:
            terms.append("m.place >= \(max(from.rawValue, 1)) AND m.place <= \(through.rawValue)")
            terms.append("(m.expires IS NULL OR m.expires > \(now.milliseconds))")
            if hasPriorities { terms.append("m.priority IS NOT NULL") }
            if let holder { terms.append("\(holder) IS NULL") }
        case .unacked:
            terms.append("\(holder ?? "n.consumer") IS NOT NULL AND m.id >= \(from.rawValue)")
        case .delayed:
            terms.append("m.due IS NOT NULL AND m.id >= \(from.rawValue)")
        }
        if let after {
            let behind = "m.place > \(after.place.rawValue)"
            terms.append(
                after.priority.map { "(m.priority < \($0) OR (m.priority = \($0) AND \(behind)))" } ?? behind)
        }
        return terms.joined(separator: " AND ")
    }

    private func time(_ column: String) -> String {
        "strftime('%Y-%m-%dT%H:%M:%fZ', \(column) / 1000.0, 'unixepoch')"
    }
}
