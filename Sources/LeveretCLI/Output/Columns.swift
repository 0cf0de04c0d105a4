// Every listing's columns, in order. The names are a promise to scripts: they are added to and never changed
// (docs/cli.md, Columns).

/// The listings.
enum Columns {
    /// `status`.
    static let status: [Column] = [
        .shown("version"), .shown("uptime", .duration), .hidden("started", .age), .hidden("now"),
        .shown("database"), .hidden("database_id"), .shown("database_bytes", .bytes),
        .shown("disk_free_bytes", .bytes),
        .shown("resident_bytes", .bytes), .shown("message_bytes", .bytes),
        .shown("queues", .number), .shown("exchanges", .number),
        .shown("connections", .number), .shown("consumers", .number), .shown("ready", .number),
        .shown("unacked", .number), .shown("delayed", .number), .shown("published", .number),
        .shown("delivered", .number), .shown("acked", .number), .shown("unroutable", .number),
        .shown("dead", .tally), .shown("parked", .total), .shown("in_rate", .rate),
        .shown("out_rate", .rate),
        .shown("deduplicated", .number), .shown("logins_refused", .number), .shown("limits", .tally),
        .hidden("log_level"), .shown("alarms", .sentences),
    ]

    /// `queues`.
    static let queues: [Column] = [
        .shown("name"), .shown("ready", .number), .shown("unacked", .number), .shown("delayed", .number),
        .shown("consumers", .number), .shown("in_rate", .rate), .shown("out_rate", .rate),
        .shown("oldest", .age),
        .hidden("ready_bytes", .bytes), .hidden("in_memory", .number), .hidden("published", .number),
        .hidden("delivered", .number), .hidden("acked", .number),
        .hidden("returned", .number), .hidden("return_rate", .rate), .hidden("dead", .tally),
        .hidden("durable"), .hidden("exclusive"), .hidden("auto_delete"),
        .shown("dead_letter_exchange"), .hidden("dead_letter_key"), .hidden("arguments", .nested),
        .hidden("paused_since", .age), .hidden("deduplicated", .number),
        .hidden("policy"), .hidden("operator_policy"), .hidden("effective", .nested),
        .hidden("origins", .nested),
    ]

    /// `queues --all-vhosts`: where it is, and all that `queues` has.
    static let allQueues: [Column] = [.shown("vhost")] + queues

    /// `queue show`: all that `queues` has, and what is around the queue.
    static let queue: [Column] =
        queues.map { Column(name: $0.name, style: $0.style, isShown: true) } + [
            .hidden("bindings", .nested), .hidden("consumer_list", .nested),
        ]

    /// `exchanges`.
    static let exchanges: [Column] = [
        .shown("name"), .shown("type"), .shown("bindings", .number), .shown("published", .number),
        .shown("unroutable", .number), .hidden("durable"), .hidden("auto_delete"), .hidden("internal"),
        .shown("alternate"), .hidden("arguments", .nested), .shown("policy"), .hidden("operator_policy"),
        .hidden("effective", .nested), .hidden("origins", .nested),
    ]

    /// `exchange show`: all that `exchanges` has.
    static let exchange = exchanges.map { Column(name: $0.name, style: $0.style, isShown: true) }

    /// The bindings of `queue show`.
    static let bindings: [Column] = [
        .shown("source"), .shown("pattern"), .shown("arguments", .nested), .hidden("destination"),
        .hidden("destination_type"),
    ]

    /// The consumers of `queue show`.
    static let consumers: [Column] = [
        .shown("name"), .shown("session"), .shown("prefetch", .number), .shown("unacked", .number),
        .shown("auto_ack"), .shown("exclusive"), .shown("priority", .number), .shown("active"),
        .shown("consumer_timeout", .number), .hidden("queue"), .shown("connection", .ordinal),
        .hidden("channel", .ordinal), .hidden("user"),
    ]

    /// `consumers`.
    static let allConsumers: [Column] = [
        .shown("queue"), .shown("name"), .shown("session"), .shown("prefetch", .number),
        .shown("unacked", .number), .shown("auto_ack"), .hidden("exclusive"), .shown("priority", .number),
        .shown("active"), .hidden("consumer_timeout", .number), .shown("connection", .ordinal),
        .hidden("channel", .ordinal), .hidden("user"),
    ]

    /// `bindings`.
    static let allBindings: [Column] = [
        .shown("source"), .shown("destination"), .shown("destination_type"), .shown("pattern"),
        .shown("arguments", .nested),
    ]

    /// `connections list`.
    static let connections: [Column] = [
        .shown("id", .ordinal), .shown("name"), .shown("since", .age), .shown("consumers", .number),
        .shown("unacked", .number), .shown("vhost"), .shown("user"), .shown("protocol"),
        .shown("channels", .number), .shown("blocked"), .shown("product"), .shown("version"),
        .hidden("client_name"), .hidden("peer"), .hidden("platform"),
    ]

    /// `channels`.
    static let channels: [Column] = [
        .shown("connection", .ordinal), .shown("channel", .ordinal), .shown("name"), .shown("user"),
        .shown("vhost"), .shown("mode"), .shown("prefetch", .number), .shown("channel_prefetch", .number),
        .shown("consumers", .number), .shown("unacked", .number), .shown("unconfirmed", .number),
        .shown("uncommitted", .number), .shown("held_up"), .hidden("id", .ordinal),
    ]

    /// `vhost list`.
    static let virtualHosts: [Column] = [
        .shown("name"), .shown("queues", .number), .shown("ready", .number), .shown("unacked", .number),
        .shown("delayed", .number), .shown("connections", .number), .shown("max_queues", .number),
        .shown("max_connections", .number),
    ]

    /// `policy list`.
    static let policies: [Column] = [
        .shown("name"), .shown("pattern"), .shown("priority", .number), .shown("operator"),
        .shown("apply_to"), .shown("definition", .nested), .shown("queues", .number),
        .shown("exchanges", .number),
    ]

    /// `user list`.
    static let users: [Column] = [
        .shown("name"), .shown("tags", .words), .shown("connections", .number),
        .shown("channels", .number),
        .shown("max_connections", .number), .shown("max_channels", .number),
    ]

    /// `user show`: all that `user list` has, and what the user may do.
    static let user = users + [.hidden("permissions", .nested)]

    /// The permissions of `user show`.
    static let userPermissions: [Column] = [
        .shown("vhost"), .shown("configure"), .shown("write"), .shown("read"), .hidden("user"),
    ]

    /// `permission list`.
    static let permissions: [Column] = [
        .shown("user"), .shown("vhost"), .shown("configure"), .shown("write"), .shown("read"),
    ]

    /// `permission list-topics`.
    static let topicPermissions: [Column] = [
        .shown("user"), .shown("vhost"), .shown("exchange"), .shown("write"), .shown("read"),
    ]

    /// `why`.
    static let why: [Column] = [.shown("text"), .hidden("reason"), .hidden("facts", .nested)]

    /// `check`.
    static let check: [Column] = [
        .shown("status"), .shown("text"), .hidden("findings", .sentences), .shown("queues", .number),
        .shown("ready", .number), .shown("unacked", .number), .shown("delayed", .number),
        .shown("consumers", .number), .shown("dead", .number), .shown("age", .duration),
        .shown("disk_free_bytes", .bytes),
    ]

    /// `doctor`.
    static let doctor: [Column] = [
        .shown("severity"), .shown("subject"), .shown("text"), .hidden("advice"), .hidden("rule"),
    ]

    /// `verify`.
    static let faults: [Column] = [.shown("fault"), .shown("count", .number), .shown("text")]

    /// `bench`.
    static let bench: [Column] = [
        .shown("side"), .shown("messages", .number), .hidden("seconds"), .shown("rate", .number),
        .shown("bytes_rate", .bytes), .shown("p50_us", .number), .shown("p95_us", .number),
        .shown("p99_us", .number), .shown("max_us", .number), .hidden("histogram", .nested),
    ]

    /// `route`.
    static let routes: [Column] = [
        .shown("source"), .shown("destination"), .shown("destination_type"), .shown("reason"),
        .shown("pattern"),
        .shown("arguments", .nested),
    ]

    /// `peek`.
    static let peek: [Column] = [
        .shown("position", .ordinal), .hidden("version", .ordinal), .hidden("state"), .shown("exchange"),
        .shown("key"), .hidden("priority", .number), .shown("entered", .age), .shown("expires", .age),
        .hidden("due", .age), .shown("deliveries", .number), .hidden("failed", .number),
        .shown("size", .bytes),
        .hidden("headers", .nested), .hidden("properties", .nested), .hidden("held_by"),
        .hidden("held_since", .age), .hidden("origin"), .hidden("reason"), .hidden("error"),
        .hidden("deaths", .nested), .hidden("place", .ordinal), .shown("body", .body),
        .hidden("body64", .body),
    ]

    /// `grep`: where it stands, and what `peek` has.
    static let grep: [Column] =
        [
            .shown("position", .ordinal), .shown("state"), .shown("key"), .shown("field"), .shown("match"),
        ] + peek.filter { !["position", "state", "key"].contains($0.name) }.map(\.asHidden)

    /// `msg show` and `dead show`: all but `place`, by which only pages go.
    static let message: [Column] = peek.filter { $0.name != "place" }
        .map { Column(name: $0.name, style: $0.style, isShown: true) }

    /// `delayed`.
    static let delayed: [Column] =
        [
            .shown("due", .age), .shown("queue"), .shown("position", .ordinal), .shown("key"),
            .shown("failed", .number), .shown("size", .bytes), .shown("body", .body),
        ]
        + peek.filter { !["due", "position", "key", "failed", "size", "body"].contains($0.name) }
        .map(\.asHidden)

    /// `jobs list`.
    static let jobs: [Column] = [
        .shown("id"), .shown("state"), .shown("queue"), .shown("name"), .shown("attempts", .number),
        .hidden("max_attempts", .number), .hidden("priority", .number), .shown("enqueued", .age),
        .shown("due", .age), .hidden("started", .age), .hidden("finished", .age), .hidden("worker"),
        .shown("progress"), .hidden("progress_text"), .hidden("cancelling"), .hidden("reason"),
        .shown("error"),
        .hidden("limit_key"), .hidden("schedule"), .hidden("position", .ordinal), .hidden("errors", .nested),
        .hidden("log", .nested), .hidden("output", .nested), .shown("payload", .nested),
    ]

    /// `jobs show`: all that `jobs list` has.
    static let job = jobs.map { Column(name: $0.name, style: $0.style, isShown: true) }

    /// `cron`.
    static let schedules: [Column] = [
        .shown("name"), .shown("expression"), .shown("zone"), .shown("job"), .shown("last", .age),
        .shown("next", .age), .hidden("due", .age), .shown("catch_up"), .shown("count", .number),
        .shown("paused_since", .age), .hidden("consumers", .number),
    ]

    /// `dead list`.
    static let deadLetters: [Column] = [
        .shown("queue"), .shown("origin"), .shown("reason"), .shown("count", .number), .shown("first", .age),
        .shown("last", .age), .shown("error"),
    ]

    /// What `dead replay` and `dead drop` show before they do anything.
    static let deadSurvey: [Column] = [
        .shown("count", .number), .shown("origin"), .shown("reason"), .shown("error"),
    ]

    /// `tail`.
    static let tail: [Column] = [
        .shown("exchange"), .shown("key"), .shown("size", .bytes), .hidden("headers", .nested),
        .hidden("properties", .nested), .shown("body", .body), .hidden("body64", .body),
    ]

    /// `get` and `consume`.
    static let get: [Column] = [
        .shown("position", .ordinal), .shown("exchange"), .shown("key"), .shown("redelivered"),
        .shown("deliveries", .number), .shown("size", .bytes), .hidden("headers", .nested),
        .hidden("properties", .nested), .shown("body", .body), .hidden("body64", .body),
    ]
}
