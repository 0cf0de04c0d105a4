// A database as the first version of the schema has it, with a row or two of each kind. It stays as it is, so that
// files from then keep opening; docs/database.md describes the columns.

/// The first version, for `sqlite3`.
enum StoreVersion1 {
    /// Queue 4, two messages, one of them held by a consumer, one with a shared body.
    static let sql = """
        PRAGMA page_size = 8192;
        PRAGMA auto_vacuum = INCREMENTAL;
        PRAGMA journal_mode = WAL;
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
        CREATE VIEW message_view AS
            SELECT m.id, q.name AS queue, CASE WHEN h.consumer IS NOT NULL THEN 'unacked' WHEN m.due IS NOT NULL THEN 'delayed' ELSE 'ready' END AS state, m.place, m.exchange, m.routing_key, m.headers,
                m.size, strftime('%Y-%m-%dT%H:%M:%fZ', m.entered / 1000.0, 'unixepoch') AS entered, strftime('%Y-%m-%dT%H:%M:%fZ', m.expires / 1000.0, 'unixepoch') AS expires,
                strftime('%Y-%m-%dT%H:%M:%fZ', m.due / 1000.0, 'unixepoch') AS due, m.priority, m.failed, coalesce(h.acquired, 0) AS deliveries,
                h.consumer AS held_by, strftime('%Y-%m-%dT%H:%M:%fZ', h.since / 1000.0, 'unixepoch') AS held_since, m.version,
                CASE WHEN m.body_id IS NULL THEN m.body ELSE b.body END AS body
            FROM message AS m
                LEFT JOIN queue AS q ON q.id = m.queue
                LEFT JOIN held AS h ON h.message = m.id
                LEFT JOIN body AS b ON b.id = m.body_id;
        CREATE VIEW queue_depth AS
            SELECT q.name AS queue, coalesce(m.count, 0) - coalesce(h.count, 0) AS ready,
                coalesce(h.count, 0) AS unacked, coalesce(m.count, 0) AS messages, coalesce(m.bytes, 0) AS bytes,
                (SELECT strftime('%Y-%m-%dT%H:%M:%fZ', entered / 1000.0, 'unixepoch') FROM message WHERE queue = q.id ORDER BY place LIMIT 1) AS oldest
            FROM queue AS q
                LEFT JOIN (SELECT queue, count(*) AS count, sum(size) AS bytes FROM message GROUP BY queue) AS m
                    ON m.queue = q.id
                LEFT JOIN (
                    SELECT queue, count(*) AS count FROM held WHERE consumer IS NOT NULL GROUP BY queue
                ) AS h ON h.queue = q.id
            ORDER BY q.name;
        CREATE VIEW dead_letters AS
            SELECT m.id, q.name AS queue, m.origin, m.reason, m.last_error AS error,
                strftime('%Y-%m-%dT%H:%M:%fZ', m.first_death / 1000.0, 'unixepoch') AS first_death, strftime('%Y-%m-%dT%H:%M:%fZ', m.last_death / 1000.0, 'unixepoch') AS last_death, m.death_count,
                m.exchange, m.routing_key, m.headers, m.size, m.deaths,
                CASE WHEN m.body_id IS NULL THEN m.body ELSE b.body END AS body
            FROM message AS m
                LEFT JOIN queue AS q ON q.id = m.queue
                LEFT JOIN body AS b ON b.id = m.body_id
            WHERE m.deaths IS NOT NULL;
        CREATE VIEW delayed AS
            SELECT m.id, q.name AS queue, strftime('%Y-%m-%dT%H:%M:%fZ', m.due / 1000.0, 'unixepoch') AS due, m.exchange, m.routing_key, m.size
            FROM message AS m LEFT JOIN queue AS q ON q.id = m.queue
            WHERE m.due IS NOT NULL
            ORDER BY m.due;
        CREATE VIEW unacked AS
            SELECT h.message AS id, q.name AS queue, h.consumer, strftime('%Y-%m-%dT%H:%M:%fZ', h.since / 1000.0, 'unixepoch') AS since,
                h.acquired AS deliveries, m.failed, m.exchange, m.routing_key, m.size
            FROM held AS h
                JOIN message AS m ON m.id = h.message
                LEFT JOIN queue AS q ON q.id = h.queue
            WHERE h.consumer IS NOT NULL;
        INSERT INTO queue (id, name, durable, exclusive, auto_delete, arguments) VALUES (4, 'orders', 1, 0, 0, x'00000000');
        INSERT INTO message (id, queue, place, size, entered, expires, failed, exchange, routing_key, body)
            VALUES (7, 4, 7, 3, 1000, 5000, 1, '', 'orders', x'6f776e');
        INSERT INTO body VALUES (8, x'736861726564');
        INSERT INTO message (id, queue, place, size, entered, exchange, routing_key, body_id)
            VALUES (8, 4, 8, 6, 2000, 'events', 'a.b', 8);
        INSERT INTO held VALUES (7, 4, 'worker/a', 3000, 1);
        UPDATE meta SET value = 100 WHERE name = 'reserved_through';
        UPDATE meta SET value = 4 WHERE name = 'last_queue';
        PRAGMA application_id = 1282830964;
        PRAGMA user_version = 1;
        """
}
