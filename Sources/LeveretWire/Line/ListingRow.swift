// The rows of listings for whoever has the values without a connection: `leveret … --db FILE` shows the same
// rows as a server.

public import LeveretCore

/// Rows as text: the JSON object behind `ROW`.
public enum ListingRow {
    /// A row of LIST queues and of STAT with a queue, of the fields that are named, or with `nil` of all.
    public static func queue(_ queue: QueueInfo, fields: Set<String>? = nil) -> String {
        text(fields) { LineRows.queue(queue, to: &$0) }
    }

    /// A row of LIST exchanges.
    public static func exchange(_ exchange: ExchangeInfo) -> String {
        text { LineRows.exchange(exchange, to: &$0) }
    }

    /// A row of LIST bindings.
    public static func binding(_ binding: Binding) -> String { text { LineRows.binding(binding, to: &$0) } }

    /// A row of LIST policies.
    public static func policy(_ policy: PolicyInfo) -> String { text { LineRows.policy(policy, to: &$0) } }

    /// A row of LIST vhosts.
    public static func virtualHost(_ host: VirtualHostInfo) -> String {
        text { LineRows.virtualHost(host, to: &$0) }
    }

    /// A row of USER export.
    public static func user(_ user: UserDefinition) -> String {
        text { LineRows.userDefinition(user, to: &$0) }
    }

    /// A row of LIST permissions.
    public static func permission(_ permission: UserPermission) -> String {
        text { LineRows.permission(permission, to: &$0) }
    }

    /// A row of LIST topic-permissions.
    public static func topicPermission(_ permission: TopicPermission) -> String {
        text { LineRows.topicPermission(permission, to: &$0) }
    }

    /// A row of PEEK, with its body.
    public static func message(_ message: PeekedMessage) -> String {
        text { LineRows.message(message, withBody: true, to: &$0) }
    }

    /// A row of SQL.
    public static func query(_ row: [FieldValue], columns: [String]) -> String {
        text { LineRows.query(row, columns: columns, to: &$0) }
    }

    /// A row of ROUTE.
    public static func route(_ step: RouteStep) -> String { text { LineRows.route(step, to: &$0) } }

    private static func text(_ fields: Set<String>? = nil, _ write: (inout JSONRow) -> Void) -> String {
        var row = JSONRow(fields: fields)
        write(&row)
        return row.text
    }
}
