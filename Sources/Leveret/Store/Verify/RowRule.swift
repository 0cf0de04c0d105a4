// What holds of the rows of a sound file, each as a query for the rows that break it. To add a rule: a line here,
// its kind in DatabaseFault.swift and docs/cli.md, and a fault planted in DatabaseVerifyTests.

/// A rule about rows.
struct RowRule {
    let kind: DatabaseFault.Kind
    /// The schema that has all it asks for.
    var since = 1
    /// A broker that runs, or did not end in good order, may be in the middle of mending what this finds.
    var isInFlight = false
    /// Gives a text for each row that breaks the rule.
    let query: String
    /// What these rows are; their texts follow behind a colon.
    let title: String
    let advice: String

    /// Exchanges that every broker has and no file.
    private static let predeclared =
        "VALUES ('amq.direct'), ('amq.fanout'), ('amq.topic'), ('amq.headers'), ('amq.match')"
    /// Those of every virtual host, as `vhost` and `name`.
    private static let exchanges = """
        SELECT vhost, name FROM exchange UNION ALL SELECT vhost.id, p.column1 FROM vhost, (\(predeclared)) AS p
        """

    /// The way out for messages that a broker can't take as they are.
    private static let anew =
        "restore a backup, or take the messages into an empty broker ('leveret export --all', 'leveret import')"

    /// The way out where rows only stand in the way.
    private static func stopAndDelete(_ table: String, _ condition: String) -> String {
        "stop the server and run 'sqlite3 FILE \"DELETE FROM \(table) WHERE \(condition)\"'"
    }

    static let all = [
        RowRule(
            kind: .queueMissing, isInFlight: true,
            query: "SELECT id FROM message WHERE queue NOT IN (SELECT id FROM queue)",
            title: "messages whose queue doesn't exist",
            advice: "a broker that opens the file removes them; to keep them restore a backup"),
        RowRule(
            kind: .placeShared,
            query: """
                SELECT min(id) || ' and ' || max(id) FROM message
                WHERE place <> 0 AND place > -9223372036854775808
                GROUP BY queue, priority, abs(place) HAVING count(*) > 1
                """,
            title: "messages of one queue that stand at one place, of which a broker may not see one",
            advice: anew),
        RowRule(
            kind: .placeWrong, query: "SELECT id FROM message WHERE (due IS NULL) <> (place > 0)",
            title: "messages that are delayed and have a place, or neither",
            advice: anew),
        RowRule(
            kind: .priorityWrong,
            query: """
                SELECT m.id FROM message AS m JOIN queue AS q ON q.id = m.queue
                WHERE (m.priority IS NULL) <> (
                    CASE WHEN json_valid(q.arguments_json) THEN q.arguments_json ->> '$."x-max-priority"' END
                    IS NULL
                )
                """,
            title: "messages with a priority in queues without priorities, or the other way round",
            advice: anew),
        RowRule(
            kind: .bodyMissing,
            query: """
                SELECT id FROM message WHERE body_id IS NOT NULL AND body_id NOT IN (SELECT id FROM body)
                UNION ALL SELECT id FROM message WHERE body_id IS NULL AND body IS NULL
                """,
            title: "messages whose bodies are gone",
            advice: "restore a backup, or remove the messages ('leveret msg cancel')"),
        RowRule(
            kind: .bodyOrphaned,
            query:
                "SELECT id FROM body WHERE id NOT IN (SELECT body_id FROM message WHERE body_id IS NOT NULL)",
            title: "bodies that no message has and that only take room",
            advice: stopAndDelete("body", "id NOT IN (SELECT body_id FROM message WHERE body_id IS NOT NULL)")
        ),
        RowRule(
            kind: .sizeWrong,
            query: """
                SELECT m.id FROM message AS m LEFT JOIN body AS b ON b.id = m.body_id
                WHERE m.size <> CASE WHEN m.body_id IS NULL THEN length(m.body) ELSE length(b.body) END
                """,
            title: "messages whose size is not that of their body",
            advice: "restore a backup, or look at them ('leveret peek') and publish them again"),
        RowRule(
            kind: .heldOrphaned,
            query: """
                SELECT h.message FROM held AS h LEFT JOIN message AS m ON m.id = h.message
                WHERE m.id IS NULL OR m.queue <> h.queue
                """,
            title: "notes of who holds messages that don't exist or are in other queues",
            advice: stopAndDelete("held", "message NOT IN (SELECT id FROM message WHERE queue = held.queue)")),
        RowRule(
            kind: .bindingDangling,
            query: """
                SELECT 'exchange ''' || source || ''' to ' || target_kind || ' ''' || target || ''''
                FROM binding WHERE (vhost, source) NOT IN (\(exchanges))
                    OR target_kind = 'queue' AND (vhost, target) NOT IN (SELECT vhost, name FROM queue)
                    OR target_kind = 'exchange' AND (vhost, target) NOT IN (\(exchanges))
                """,
            title: "bindings from or to what doesn't exist",
            advice: "declare what is missing and unbind it ('leveret unbind'), or restore a backup"),
        RowRule(
            kind: .dedupOrphaned, since: 10, isInFlight: true,
            query: """
                SELECT scope FROM dedup_scope WHERE scope NOT IN (
                    SELECT 'queue ' || id FROM queue UNION ALL SELECT
                        CASE vhost WHEN 1 THEN '' ELSE 'vhost ' || vhost || ' ' END || 'exchange ' || name
                    FROM (\(exchanges))
                )
                """,
            title: "ids that are remembered for queues and exchanges that don't exist",
            advice: "a broker that opens the file forgets them"),
        RowRule(
            kind: .pauseOrphaned, since: 3,
            query: "SELECT queue FROM paused WHERE queue NOT IN (SELECT id FROM queue)",
            title: "pauses of queues that don't exist, by their ids",
            advice: stopAndDelete("paused", "queue NOT IN (SELECT id FROM queue)")),
        RowRule(
            kind: .permissionOrphaned, since: 8,
            query: """
                SELECT '''' || user || ''' in ''' || vhost || '''' FROM permission
                WHERE user NOT IN (SELECT name FROM user) OR vhost NOT IN (SELECT name FROM vhost)
                """,
            title: "permissions of users or virtual hosts that don't exist",
            advice: stopAndDelete(
                "permission",
                "user NOT IN (SELECT name FROM user) OR vhost NOT IN (SELECT name FROM vhost)")),
        RowRule(
            kind: .topicPermissionOrphaned, since: 9,
            query: """
                SELECT '''' || user || ''' in ''' || vhost || ''' for exchange ''' || exchange || ''''
                FROM topic_permission
                WHERE user NOT IN (SELECT name FROM user) OR vhost NOT IN (SELECT name FROM vhost)
                """,
            title: "topic permissions of users or virtual hosts that don't exist",
            advice: stopAndDelete(
                "topic_permission",
                "user NOT IN (SELECT name FROM user) OR vhost NOT IN (SELECT name FROM vhost)")),
        RowRule(
            kind: .numbers,
            query: """
                SELECT 'message ' || id FROM message
                WHERE id < 1 OR size < 0 OR failed < 0 OR version < 1 OR entered < 0
                    OR typeof(place) <> 'integer' OR typeof(size) <> 'integer' OR typeof(failed) <> 'integer'
                    OR typeof(version) <> 'integer' OR typeof(entered) <> 'integer'
                UNION ALL SELECT 'message ' || message || ' (held)' FROM held WHERE acquired < 0
                UNION ALL SELECT 'message ' || max(id) || ', above the last number given out' FROM message
                    HAVING max(id) > coalesce((SELECT value FROM meta WHERE name = 'reserved_through'), 0)
                UNION ALL SELECT 'queue ' || max(id) || ', above the last number given out' FROM queue
                    HAVING max(id) > coalesce((SELECT value FROM meta WHERE name = 'last_queue'), 0)
                """,
            title: "numbers that can't be",
            advice: anew),
    ]
}
