// The tables and views of a database file, as numbered migrations. docs/database.md describes each column for
// those who query the file. A change of the schema is a new migration at the end, never an edit of an old one:
//   1. append it here  2. describe it in docs/database.md  3. add a test that starts from the version before.

/// The file's format: the number of a migration is the `user_version` that it leads to.
enum Schema {
    /// `PRAGMA application_id` of a Leveret database: "Lvrt".
    static let applicationID: Int64 = 0x4C76_7274

    /// What leads from version n to version n + 1, from the empty file on.
    static let migrations = [
        version1, version2, version3, version4, version5, version6, version7, version8, version9,
        version10,
    ]

    /// Where messages are kept in the spill file: the same tables as in the database.
    static let spillTables = messageTables + priorityIndex + messageIDs

    /// The id that a queue knows a message by for as long as it is there.
    private static let messageIDs = """
        ALTER TABLE message ADD COLUMN dedup TEXT;
        CREATE INDEX message_dedup ON message (queue, dedup) WHERE dedup IS NOT NULL;
        """

    /// Where messages are kept, as the first version has it.
    private static let messageTables = """
        CREATE TABLE message (
            id INTEGER PRIMARY KEY,
            queue INTEGER NOT NULL,
            place INTEGER NOT NULL,
            size INTEGER NOT NULL,
            entered INTEGER NOT NULL,
            expires INTEGER,
            due INTEGER,
            priority INTEGER,
            failed INTEGER NOT NULL DEFAULT 0,
            version INTEGER NOT NULL DEFAULT 1,
            body_id INTEGER,
            exchange TEXT NOT NULL,
            routing_key TEXT NOT NULL,
            properties BLOB,
            headers TEXT,
            origin TEXT,
            reason TEXT,
            first_death INTEGER,
            last_death INTEGER,
            death_count INTEGER,
            deaths TEXT,
            last_error TEXT,
            body BLOB
        );
        CREATE INDEX message_place ON message (queue, place, size);
        CREATE INDEX message_expires ON message (queue, expires) WHERE expires IS NOT NULL;
        CREATE INDEX message_due ON message (queue, due) WHERE due IS NOT NULL;
        CREATE INDEX message_priority ON message (queue, priority DESC, place) WHERE priority IS NOT NULL;
        CREATE INDEX message_body ON message (body_id) WHERE body_id IS NOT NULL;
        CREATE TABLE body (id INTEGER PRIMARY KEY, body BLOB NOT NULL);
        CREATE TABLE held (
            message INTEGER PRIMARY KEY,
            queue INTEGER NOT NULL,
            consumer TEXT,
            since INTEGER,
            acquired INTEGER NOT NULL
        );
        """

    /// Counts by priority come from the index alone.
    static let priorityIndex = """
        DROP INDEX message_priority;
        CREATE INDEX message_priority ON message (queue, priority DESC, place, size)
            WHERE priority IS NOT NULL;
        """

    /// Delayed messages count apart.
    private static let version2 = """
        \(priorityIndex)
        DROP VIEW queue_depth;
        CREATE VIEW queue_depth AS
            SELECT q.name AS queue, coalesce(m.ready, 0) - coalesce(h.count, 0) AS ready,
                coalesce(h.count, 0) AS unacked,
                coalesce(m.ready + m.delayed, 0) AS messages, coalesce(m.bytes, 0) AS bytes,
                (
                    SELECT \(time("entered")) FROM message WHERE queue = q.id AND place > 0 ORDER BY place LIMIT 1
                ) AS oldest,
                coalesce(m.delayed, 0) AS delayed
            FROM queue AS q
                LEFT JOIN (
                    SELECT queue, count(*) FILTER (WHERE place > 0) AS ready,
                        count(*) FILTER (WHERE place <= 0) AS delayed, sum(size) AS bytes
                    FROM message GROUP BY queue
                ) AS m ON m.queue = q.id
                LEFT JOIN (
                    SELECT queue, count(*) AS count FROM held WHERE consumer IS NOT NULL GROUP BY queue
                ) AS h ON h.queue = q.id
            ORDER BY q.name;
        """

    private static let version1 = """
        CREATE TABLE meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
        INSERT INTO meta VALUES ('reserved_through', 0), ('last_queue', 0), ('checkpoints', 0);
        CREATE TABLE vhost (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
        INSERT INTO vhost VALUES (1, '/');
        CREATE TABLE exchange (
            id INTEGER PRIMARY KEY,
            vhost INTEGER NOT NULL DEFAULT 1,
            name TEXT NOT NULL,
            type TEXT NOT NULL,
            durable INTEGER NOT NULL,
            auto_delete INTEGER NOT NULL,
            internal INTEGER NOT NULL,
            arguments BLOB NOT NULL,
            arguments_json TEXT,
            UNIQUE (vhost, name)
        );
        CREATE TABLE queue (
            id INTEGER PRIMARY KEY,
            vhost INTEGER NOT NULL DEFAULT 1,
            name TEXT NOT NULL,
            durable INTEGER NOT NULL,
            exclusive INTEGER NOT NULL,
            auto_delete INTEGER NOT NULL,
            arguments BLOB NOT NULL,
            arguments_json TEXT,
            UNIQUE (vhost, name)
        );
        CREATE TABLE binding (
            id INTEGER PRIMARY KEY,
            vhost INTEGER NOT NULL DEFAULT 1,
            source TEXT NOT NULL,
            target_kind TEXT NOT NULL CHECK (target_kind IN ('queue', 'exchange')),
            target TEXT NOT NULL,
            routing_key TEXT NOT NULL,
            arguments BLOB NOT NULL,
            arguments_json TEXT,
            UNIQUE (vhost, source, target_kind, target, routing_key, arguments)
        );
        \(messageTables)
        CREATE VIEW message_view AS
            SELECT m.id, q.name AS queue, \(state) AS state, m.place, m.exchange, m.routing_key, m.headers,
                m.size, \(time("m.entered")) AS entered, \(time("m.expires")) AS expires,
                \(time("m.due")) AS due, m.priority, m.failed, coalesce(h.acquired, 0) AS deliveries,
                h.consumer AS held_by, \(time("h.since")) AS held_since, m.version,
                CASE WHEN m.body_id IS NULL THEN m.body ELSE b.body END AS body
            FROM message AS m
                LEFT JOIN queue AS q ON q.id = m.queue
                LEFT JOIN held AS h ON h.message = m.id
                LEFT JOIN body AS b ON b.id = m.body_id;
        CREATE VIEW queue_depth AS
            SELECT q.name AS queue, coalesce(m.count, 0) - coalesce(h.count, 0) AS ready,
                coalesce(h.count, 0) AS unacked, coalesce(m.count, 0) AS messages, coalesce(m.bytes, 0) AS bytes,
                (SELECT \(time("entered")) FROM message WHERE queue = q.id ORDER BY place LIMIT 1) AS oldest
            FROM queue AS q
                LEFT JOIN (SELECT queue, count(*) AS count, sum(size) AS bytes FROM message GROUP BY queue) AS m
                    ON m.queue = q.id
                LEFT JOIN (
                    SELECT queue, count(*) AS count FROM held WHERE consumer IS NOT NULL GROUP BY queue
                ) AS h ON h.queue = q.id
            ORDER BY q.name;
        CREATE VIEW dead_letters AS
            SELECT m.id, q.name AS queue, m.origin, m.reason, m.last_error AS error,
                \(time("m.first_death")) AS first_death, \(time("m.last_death")) AS last_death, m.death_count,
                m.exchange, m.routing_key, m.headers, m.size, m.deaths,
                CASE WHEN m.body_id IS NULL THEN m.body ELSE b.body END AS body
            FROM message AS m
                LEFT JOIN queue AS q ON q.id = m.queue
                LEFT JOIN body AS b ON b.id = m.body_id
            WHERE m.deaths IS NOT NULL;
        CREATE VIEW delayed AS
            SELECT m.id, q.name AS queue, \(time("m.due")) AS due, m.exchange, m.routing_key, m.size
            FROM message AS m LEFT JOIN queue AS q ON q.id = m.queue
            WHERE m.due IS NOT NULL
            ORDER BY m.due;
        CREATE VIEW unacked AS
            SELECT h.message AS id, q.name AS queue, h.consumer, \(time("h.since")) AS since,
                h.acquired AS deliveries, m.failed, m.exchange, m.routing_key, m.size
            FROM held AS h
                JOIN message AS m ON m.id = h.message
                LEFT JOIN queue AS q ON q.id = h.queue
            WHERE h.consumer IS NOT NULL;
        """

    /// Queues whose dispatch is stopped.
    private static let version3 = """
        CREATE TABLE paused (queue INTEGER PRIMARY KEY, since INTEGER NOT NULL);
        """

    /// The ids that queues and exchanges have seen.
    private static let version4 = """
        \(messageIDs)
        CREATE TABLE dedup (
            scope TEXT NOT NULL,
            id TEXT NOT NULL,
            expires INTEGER NOT NULL,
            PRIMARY KEY (scope, id)
        ) WITHOUT ROWID;
        CREATE INDEX dedup_expires ON dedup (expires);
        """

    /// Settings for queues whose names match.
    private static let version5 = """
        CREATE TABLE policy (
            name TEXT NOT NULL,
            operator INTEGER NOT NULL,
            pattern TEXT NOT NULL,
            priority INTEGER NOT NULL,
            definition BLOB NOT NULL,
            definition_json TEXT,
            PRIMARY KEY (operator, name)
        ) WITHOUT ROWID;
        """

    /// Policies say what they are for.
    private static let version6 = """
        ALTER TABLE policy ADD COLUMN apply_to TEXT NOT NULL DEFAULT 'all';
        """

    /// Virtual hosts have limits, policies are of one, and views say of which a queue is.
    private static let version7 = """
        ALTER TABLE vhost ADD COLUMN max_queues INTEGER;
        ALTER TABLE vhost ADD COLUMN max_connections INTEGER;
        CREATE TABLE policy_of_vhost (
            vhost INTEGER NOT NULL DEFAULT 1,
            name TEXT NOT NULL,
            operator INTEGER NOT NULL,
            pattern TEXT NOT NULL,
            priority INTEGER NOT NULL,
            definition BLOB NOT NULL,
            definition_json TEXT,
            apply_to TEXT NOT NULL,
            PRIMARY KEY (vhost, operator, name)
        ) WITHOUT ROWID;
        INSERT INTO policy_of_vhost
            SELECT 1, name, operator, pattern, priority, definition, definition_json, apply_to FROM policy;
        DROP TABLE policy;
        ALTER TABLE policy_of_vhost RENAME TO policy;
        DROP VIEW message_view;
        CREATE VIEW message_view AS
            SELECT m.id, q.name AS queue, \(state) AS state, m.place, m.exchange, m.routing_key, m.headers,
                m.size, \(time("m.entered")) AS entered, \(time("m.expires")) AS expires,
                \(time("m.due")) AS due, m.priority, m.failed, coalesce(h.acquired, 0) AS deliveries,
                h.consumer AS held_by, \(time("h.since")) AS held_since, m.version,
                CASE WHEN m.body_id IS NULL THEN m.body ELSE b.body END AS body, v.name AS vhost
            FROM message AS m
                LEFT JOIN queue AS q ON q.id = m.queue
                LEFT JOIN vhost AS v ON v.id = q.vhost
                LEFT JOIN held AS h ON h.message = m.id
                LEFT JOIN body AS b ON b.id = m.body_id;
        DROP VIEW queue_depth;
        CREATE VIEW queue_depth AS
            SELECT q.name AS queue, coalesce(m.ready, 0) - coalesce(h.count, 0) AS ready,
                coalesce(h.count, 0) AS unacked,
                coalesce(m.ready + m.delayed, 0) AS messages, coalesce(m.bytes, 0) AS bytes,
                (
                    SELECT \(time("entered")) FROM message WHERE queue = q.id AND place > 0 ORDER BY place LIMIT 1
                ) AS oldest,
                coalesce(m.delayed, 0) AS delayed, v.name AS vhost
            FROM queue AS q
                LEFT JOIN vhost AS v ON v.id = q.vhost
                LEFT JOIN (
                    SELECT queue, count(*) FILTER (WHERE place > 0) AS ready,
                        count(*) FILTER (WHERE place <= 0) AS delayed, sum(size) AS bytes
                    FROM message GROUP BY queue
                ) AS m ON m.queue = q.id
                LEFT JOIN (
                    SELECT queue, count(*) AS count FROM held WHERE consumer IS NOT NULL GROUP BY queue
                ) AS h ON h.queue = q.id
            ORDER BY v.name, q.name;
        DROP VIEW dead_letters;
        CREATE VIEW dead_letters AS
            SELECT m.id, q.name AS queue, m.origin, m.reason, m.last_error AS error,
                \(time("m.first_death")) AS first_death, \(time("m.last_death")) AS last_death, m.death_count,
                m.exchange, m.routing_key, m.headers, m.size, m.deaths,
                CASE WHEN m.body_id IS NULL THEN m.body ELSE b.body END AS body, v.name AS vhost
            FROM message AS m
                LEFT JOIN queue AS q ON q.id = m.queue
                LEFT JOIN vhost AS v ON v.id = q.vhost
                LEFT JOIN body AS b ON b.id = m.body_id
            WHERE m.deaths IS NOT NULL;
        DROP VIEW delayed;
        CREATE VIEW delayed AS
            SELECT m.id, q.name AS queue, \(time("m.due")) AS due, m.exchange, m.routing_key, m.size,
                v.name AS vhost
            FROM message AS m
                LEFT JOIN queue AS q ON q.id = m.queue
                LEFT JOIN vhost AS v ON v.id = q.vhost
            WHERE m.due IS NOT NULL
            ORDER BY m.due;
        DROP VIEW unacked;
        CREATE VIEW unacked AS
            SELECT h.message AS id, q.name AS queue, h.consumer, \(time("h.since")) AS since,
                h.acquired AS deliveries, m.failed, m.exchange, m.routing_key, m.size, v.name AS vhost
            FROM held AS h
                JOIN message AS m ON m.id = h.message
                LEFT JOIN queue AS q ON q.id = h.queue
                LEFT JOIN vhost AS v ON v.id = q.vhost
            WHERE h.consumer IS NOT NULL;
        """

    /// Who may log in, and what each may do where.
    private static let version8 = """
        CREATE TABLE user (
            name TEXT PRIMARY KEY,
            password_hash TEXT NOT NULL,
            tags TEXT NOT NULL,
            max_connections INTEGER,
            max_channels INTEGER
        ) WITHOUT ROWID;
        CREATE TABLE permission (
            user TEXT NOT NULL,
            vhost TEXT NOT NULL,
            configure TEXT NOT NULL,
            write TEXT NOT NULL,
            read TEXT NOT NULL,
            PRIMARY KEY (user, vhost)
        ) WITHOUT ROWID;
        """

    /// Which keys of topic exchanges users may use.
    private static let version9 = """
        CREATE TABLE topic_permission (
            user TEXT NOT NULL,
            vhost TEXT NOT NULL,
            exchange TEXT NOT NULL,
            write TEXT NOT NULL,
            read TEXT NOT NULL,
            PRIMARY KEY (user, vhost, exchange)
        ) WITHOUT ROWID;
        """

    /// Ids in runs, in the order in which they came.
    private static let version10 = """
        CREATE TABLE dedup_scope (number INTEGER PRIMARY KEY AUTOINCREMENT, scope TEXT NOT NULL UNIQUE);
        CREATE TABLE dedup_run (
            run INTEGER PRIMARY KEY,
            count INTEGER NOT NULL,
            expires INTEGER NOT NULL,
            filter BLOB
        );
        CREATE TABLE dedup_id (
            run INTEGER NOT NULL,
            id TEXT NOT NULL,
            scope INTEGER NOT NULL,
            expires INTEGER NOT NULL,
            PRIMARY KEY (run, id, scope)
        ) WITHOUT ROWID;
        INSERT INTO dedup_scope (scope) SELECT DISTINCT scope FROM dedup ORDER BY scope;
        INSERT INTO dedup_id
            SELECT 1, d.id, s.number, d.expires FROM dedup AS d JOIN dedup_scope AS s USING (scope) ORDER BY 2, 3;
        INSERT INTO dedup_run SELECT run, count(*), max(expires), NULL FROM dedup_id GROUP BY run;
        DROP TABLE dedup;
        CREATE VIEW dedup AS
            SELECT s.scope, d.id, d.expires FROM dedup_run AS r
                JOIN dedup_id AS d USING (run)
                JOIN dedup_scope AS s ON s.number = d.scope;
        """

    private static let state = """
        CASE WHEN h.consumer IS NOT NULL THEN 'unacked' WHEN m.due IS NOT NULL THEN 'delayed' ELSE 'ready' END
        """

    /// A column of milliseconds as a person reads it.
    private static func time(_ column: String) -> String {
        "strftime('%Y-%m-%dT%H:%M:%fZ', \(column) / 1000.0, 'unixepoch')"
    }
}

/// How connections are set up.
extension Schema {
    /// Larger than SQLite's default: bodies of a KiB or so fit without overflow pages.
    static let pageBytes = 8192
    /// How long a statement waits for another program's lock.
    static let busyMilliseconds: Int32 = 1_000

    /// What a new file begins with. It is not synced before all of it is there, and nothing was promised until then.
    static let creation = """
        PRAGMA synchronous = OFF;
        PRAGMA page_size = \(pageBytes);
        PRAGMA auto_vacuum = INCREMENTAL;
        PRAGMA journal_mode = WAL;
        """

    /// The statements that a writing connection begins with.
    /// `secure_delete` is on in Debian's SQLite: it would zero and write every page that a deleted message frees.
    static func preparation(synchronous: String, cacheKiB: Int) -> String {
        """
        PRAGMA journal_mode = WAL;
        PRAGMA synchronous = \(synchronous);
        PRAGMA secure_delete = OFF;
        PRAGMA cache_size = -\(cacheKiB);
        """
    }
}
