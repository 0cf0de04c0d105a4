// The vocabulary: every verb with its arguments, its options and the line that HELP shows. The parser reads
// this table; docs/line-protocol.md describes the same.
//
// To add a verb: a case here, its syntax and options, its parse in LineParser+Verbs.swift, and its chapter in
// docs/line-protocol.md.

/// What a request can ask for.
enum LineVerb: String, CaseIterable, Sendable {
    case hello, auth, exchange, queue, bind, unbind, bindx, unbindx, pub, get, sub, unsub, ack, nack, reject,
        touch
    case begin, commit, rollback
    case export
    case `import`
    case user, permission
    case policy, vhost, create, limit, peek, edit, cancel, move, replay, pause, resume, purge, drop, list,
        stat, why, route, sql,
        kill, log,
        ping,
        help,
        quit

    /// As HELP shows it.
    var syntax: String {
        switch self {
        case .hello: "HELLO [name=text]"
        case .auth: "AUTH user password|{N}"
        case .exchange:
            "EXCHANGE name direct|topic|fanout|headers|x-delayed-message [durable=no] [auto-delete] "
                + "[internal] [alternate=e] [deduplicate=ms] [x-NAME=v]"
        case .queue:
            "QUEUE name|? [durable=no] [exclusive] [auto-delete] [ttl=ms] [expires=ms] "
                + "[max-length=n] [max-bytes=n] [overflow=drop-head|reject-publish|reject-publish-dlx] "
                + "[dead-letter-exchange=e] [dead-letter-key=k] [delivery-limit=n] [max-priority=n] "
                + "[single-active] [consumer-timeout=ms] [expires-if-empty=ms] [deduplicate=ms|while-queued] "
                + "[delayed-retry-type=disabled|all|failed|returned] [delayed-retry-min=ms] "
                + "[delayed-retry-max=ms] [delayed-retry-backoff=linear|exponential] "
                + "[delayed-retry-jitter=percent] [x-NAME=v]"
        case .bind: "BIND queue exchange [pattern] [h.NAME=v]"
        case .unbind: "UNBIND queue exchange [pattern] [h.NAME=v]"
        case .bindx: "BINDX destination source [pattern] [h.NAME=v]"
        case .unbindx: "UNBINDX destination source [pattern] [h.NAME=v]"
        case .pub:
            "PUB exchange key [id=text] [ttl=ms] [priority=n] [type=text] [reply-to=text] "
                + "[correlation-id=text] [content-type=text] [transient] [mandatory] [delay=ms] "
                + "[h.NAME=v] :text|{N}, or PUB exchange key document [mandatory] :json|{N}"
        case .get: "GET queue [wait=ms] [auto-ack]"
        case .sub:
            "SUB queue [as=name] [prefetch=n] [auto-ack] [exclusive] [priority=n] "
                + "[consumer-timeout=ms] [count-first]"
        case .unsub: "UNSUB name"
        case .ack: "ACK tag [multiple]"
        case .nack: "NACK tag [multiple] [delay=ms]"
        case .reject: "REJECT tag [requeue [delay=ms]] [error=text]"
        case .touch: "TOUCH tag [for=ms]"
        case .begin: "BEGIN"
        case .commit: "COMMIT"
        case .rollback: "ROLLBACK"
        case .user:
            "USER add name password|{N} [tags=a,b] | passwd name password|{N} | tags name a,b | "
                + "limit name [max-connections=n] [max-channels=n] | delete name | "
                + "import name hash=text [tags=a,b] | export"
        case .permission:
            "PERMISSION set user vhost configure write read | clear user vhost | "
                + "set-topics user vhost exchange write read | clear-topics user vhost [exchange]"
        case .policy:
            "POLICY name pattern [apply-to=all|queues|exchanges|classic_queues|quorum_queues] [priority=n] "
                + "[operator] [alternate=e] [ttl=ms] [expires=ms] [expires-if-empty=ms] [max-length=n] "
                + "[max-bytes=n] [overflow=drop-head|reject-publish|reject-publish-dlx] "
                + "[dead-letter-exchange=e] [dead-letter-key=k] [delivery-limit=n] [consumer-timeout=ms] "
                + "[deduplicate=ms|while-queued] [delayed-retry-type=…] [x-NAME=v]"
        case .vhost: "VHOST name"
        case .create: "CREATE vhost name"
        case .limit: "LIMIT vhost name [max-queues=n] [max-connections=n]"
        case .peek:
            "PEEK queue [n=10] [from=position] [state=ready|unacked|delayed|all] [where=condition] "
                + "[body=no]"
        case .edit: "EDIT queue position [if=version] [key=k] [ttl=ms] [delay=ms] [h.NAME=v] [:text|{N}]"
        case .cancel: "CANCEL queue position"
        case .move:
            "MOVE queue to queue2|exchange=e [key=k] [n=n] [where=condition] "
                + "[position=p [if=version] [h.NAME=v] [:text|{N}]]"
        case .replay:
            "REPLAY queue [to queue2|exchange=e [key=k]] [n=n] [where=condition] "
                + "[position=p [if=version] [h.NAME=v] [:text|{N}]]"
        case .export:
            "EXPORT queue [n=1000] [from=position] [state=ready|unacked|delayed|all] [where=condition]"
        case .import: "IMPORT queue :json|{N}"
        case .pause: "PAUSE queue"
        case .resume: "RESUME queue"
        case .purge: "PURGE queue [n=n] [where=condition]"
        case .drop: "DROP queue|exchange|policy|vhost name [if-empty] [if-unused] [operator]"
        case .list:
            "LIST queues|exchanges|bindings|consumers|connections|channels|policies|vhosts|users|permissions"
                + "|topic-permissions [match=glob] "
                + "[fields=a,b]"
        case .stat: "STAT [queue] [fields=a,b]"
        case .why: "WHY queue"
        case .route: "ROUTE exchange key [h.NAME=v]"
        case .sql: "SQL query"
        case .kill: "KILL connection number|name [reason=text]"
        case .log: "LOG trace|debug|info|notice|warning|error|critical"
        case .ping: "PING"
        case .help: "HELP [verb]"
        case .quit: "QUIT"
        }
    }

    /// How many arguments it must and may have.
    var arguments: ClosedRange<Int> {
        switch self {
        case .hello, .begin, .commit, .rollback, .ping, .quit: 0...0
        case .stat, .help: 0...1
        case .queue, .get, .sub, .unsub, .ack, .nack, .reject, .touch, .peek, .pause, .resume, .purge, .list,
            .why, .sql, .log, .export, .import, .vhost:
            1...1
        case .exchange, .pub, .route, .drop, .policy, .edit, .cancel, .kill, .create, .limit: 2...2
        case .bind, .unbind, .bindx, .unbindx: 2...3
        case .move: 2...3
        case .replay, .user: 1...3
        case .auth: 1...2
        case .permission: 3...6
        }
    }

    /// The names of its options.
    var options: Set<String> {
        switch self {
        case .hello: ["name"]
        case .exchange: ["durable", "auto-delete", "internal", "alternate", "deduplicate"]
        case .queue:
            [
                "durable", "exclusive", "auto-delete", "ttl", "expires", "max-length", "max-bytes",
                "overflow",
                "dead-letter-exchange", "dead-letter-key", "delivery-limit", "max-priority",
                "single-active", "consumer-timeout", "expires-if-empty", "deduplicate",
                "delayed-retry-type", "delayed-retry-min", "delayed-retry-max", "delayed-retry-backoff",
                "delayed-retry-jitter",
            ]
        case .pub:
            [
                "id", "ttl", "priority", "type", "reply-to", "correlation-id", "content-type", "transient",
                "mandatory", "delay", "document",
            ]
        case .get: ["wait", "auto-ack"]
        case .sub: ["as", "prefetch", "auto-ack", "exclusive", "priority", "consumer-timeout", "count-first"]
        case .ack: ["multiple"]
        case .nack: ["multiple", "delay"]
        case .reject: ["requeue", "error", "delay"]
        case .edit: ["if", "key", "ttl", "delay"]
        case .touch: ["for"]
        case .policy:
            [
                "apply-to", "priority", "operator", "alternate", "ttl", "expires", "expires-if-empty",
                "max-length", "max-bytes",
                "overflow", "dead-letter-exchange", "dead-letter-key", "delivery-limit", "consumer-timeout",
                "deduplicate", "delayed-retry-type", "delayed-retry-min", "delayed-retry-max",
                "delayed-retry-backoff", "delayed-retry-jitter",
            ]
        case .user: ["tags", "hash", "max-connections", "max-channels"]
        case .peek: ["n", "from", "state", "where", "body"]
        case .export: ["n", "from", "state", "where"]
        case .move, .replay: ["exchange", "key", "n", "where", "position", "if"]
        case .purge: ["n", "where"]
        case .drop: ["if-empty", "if-unused", "operator"]
        case .list: ["match", "fields"]
        case .stat: ["fields"]
        case .kill: ["reason"]
        case .limit: ["max-queues", "max-connections"]
        case .bind, .unbind, .bindx, .unbindx, .unsub, .cancel, .begin, .commit, .rollback, .pause, .resume,
            .why, .route, .sql, .log, .ping, .help, .quit, .import, .vhost, .create, .auth, .permission:
            []
        }
    }

    /// It takes `h.NAME=value`.
    var takesHeaders: Bool {
        switch self {
        case .pub, .route, .edit, .move, .replay, .bind, .unbind, .bindx, .unbindx: true
        default: false
        }
    }

    /// It takes `x-NAME=value`.
    var takesExtraArguments: Bool { self == .queue || self == .exchange || self == .policy }

    /// It takes a body.
    var takesBody: Bool { [.pub, .edit, .move, .replay, .import, .auth, .user].contains(self) }

    /// One of its arguments may be a password: no error text shows any.
    var hasSecret: Bool { self == .auth || self == .user }

    /// Verbs of the design that this version doesn't have: refused with 540.
    static let later: Set<String> = [
        "backup"
    ]
}
