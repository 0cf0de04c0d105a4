// The features that FeatureTests holds servers to.

extension FeatureTalk {
    static let all = waiting + choosing + dropping + changing

    /// Delays, retries and limits.
    private static let waiting = [
        FeatureTalk(
            "delayed messages",
            """
            C: QUEUE q
            S: OK q ready=0 consumers=0
            C: PUB "" q delay=3600000 :later
            S: OK 1
            C: PUB "" q delay=3600000 :never
            S: OK 1
            C: CANCEL q 2
            S: OK
            """,
            then: """
                C: GET q
                S: NIL
                C: STAT q
                S: ROW {…"delayed":1,…
                S: OK 1
                C: EDIT q 1 delay=0 if=1
                S: OK
                C: GET q wait=60000
                S: MSG 1 q "" q redelivered=0 deliveries=1 position=1 …
                B: later
                """),
        FeatureTalk(
            "delayed messages that fall due meanwhile",
            """
            C: QUEUE q
            S: OK q ready=0 consumers=0
            C: BEGIN
            S: OK
            C: PUB "" q delay=200 :second
            S: OK queued
            C: PUB "" q delay=100 :first
            S: OK queued
            C: COMMIT
            S: OK 2
            """,
            then: """
                C: GET q wait=60000
                S: MSG 1 …
                B: first
                C: GET q wait=60000
                S: MSG 2 …
                B: second
                """),
        FeatureTalk(
            "exchanges for delayed messages",
            """
            C: EXCHANGE later x-delayed-message x-delayed-type=direct
            S: OK
            C: QUEUE q
            S: OK q ready=0 consumers=0
            C: BIND q later key
            S: OK
            """,
            then: """
                C: PUB later key delay=3600000 :x
                S: OK 1
                C: PUB later other :x
                S: OK 0
                C: PEEK q state=delayed
                S: ROW {…"state":"delayed",…
                S: OK 1
                """),
        FeatureTalk(
            "delayed retries",
            """
            C: QUEUE q delayed-retry-type=failed delayed-retry-min=3600000
            S: OK q ready=0 consumers=0
            C: PUB "" q :one
            S: OK 1
            C: GET q
            S: MSG 1 …
            B: one
            C: REJECT 1 requeue
            S: OK
            """,
            then: """
                C: PEEK q state=delayed
                S: ROW {"position":1,…"failed":1,…
                S: OK 1
                C: EDIT q 1 delay=0
                S: OK
                C: GET q wait=60000
                S: MSG 1 q "" q redelivered=1 deliveries=2 position=1 …
                B: one
                """),
        FeatureTalk(
            "delivery limits",
            """
            C: QUEUE dead
            S: OK dead ready=0 consumers=0
            C: QUEUE q delivery-limit=1 dead-letter-exchange="" dead-letter-key=dead
            S: OK q ready=0 consumers=0
            C: PUB "" q :one
            S: OK 1
            C: GET q
            S: MSG 1 …
            C: REJECT 1 requeue
            S: OK
            """,
            then: """
                C: GET q
                S: MSG 1 q "" q redelivered=1 …
                C: REJECT 1 requeue
                S: OK
                C: GET q
                S: NIL
                C: GET dead wait=60000
                S: MSG 2 dead …reason=delivery_limit…
                """),
        FeatureTalk(
            "leases",
            """
            C: QUEUE q consumer-timeout=1
            S: OK q ready=0 consumers=0
            C: PUB "" q :slow
            S: OK 1
            """,
            then: """
                C: SUB q as=worker
                S: OK worker
                S: MSG 1 … sub=worker …
                S: END sub=worker lease expired
                C: ACK 1
                S: ERR 406 PRECONDITION_FAILED the lease of delivery 1 expired at …
                C: PEEK q
                S: ROW {"position":1,…"failed":1,…
                S: OK 1
                """),
    ]

    /// Who gets what.
    private static let choosing = [
        FeatureTalk(
            "priorities",
            """
            C: QUEUE q max-priority=5
            S: OK q ready=0 consumers=0
            C: PUB "" q :low
            S: OK 1
            C: PUB "" q priority=5 :high
            S: OK 1
            """,
            then: """
                C: GET q
                S: MSG 1 …
                B: high
                C: GET q
                S: MSG 2 …
                B: low
                """),
        FeatureTalk(
            "single active consumers",
            """
            C: QUEUE q single-active
            S: OK q ready=0 consumers=0
            C: PUB "" q :one
            S: OK 1
            C: PUB "" q :two
            S: OK 1
            """,
            then: """
                C: SUB q as=first prefetch=1
                S: OK first
                S: MSG 1 … sub=first …
                C: SUB q as=second
                S: OK second
                C: PING
                S: OK
                C: ACK 1
                S: OK
                S: MSG 2 … sub=first …
                C: UNSUB first
                S: OK first
                S: MSG 3 … sub=second …
                B: two
                """),
        FeatureTalk(
            "consumer priorities, and consumers that want to be alone",
            """
            C: QUEUE q
            S: OK q ready=0 consumers=0
            C: QUEUE own
            S: OK own ready=0 consumers=0
            """,
            then: """
                C: SUB q as=low
                S: OK low
                C: SUB q as=high priority=9
                S: OK high
                C: PUB "" q :one
                S: OK 1
                S: MSG 1 … sub=high …
                C: SUB own as=alone exclusive
                S: OK alone
                C: SUB own as=other
                S: ERR 403 …
                """),
        FeatureTalk(
            "pauses",
            """
            C: QUEUE q
            S: OK q ready=0 consumers=0
            C: PUB "" q :one
            S: OK 1
            C: PAUSE q
            S: OK
            """,
            then: """
                C: GET q
                S: NIL
                C: STAT q
                S: ROW {…"paused_since":"2…
                S: OK 1
                C: RESUME q
                S: OK
                C: GET q
                S: MSG 1 …
                """),
        FeatureTalk(
            "headers of which none is there",
            """
            C: EXCHANGE e headers
            S: OK
            C: QUEUE q
            S: OK q ready=0 consumers=0
            C: BIND q e h.x-match=none h.kind=test
            S: OK
            """,
            then: """
                C: PUB e "" h.kind=test :x
                S: OK 0
                C: PUB e "" h.kind=real :x
                S: OK 1
                """),
    ]

    /// What is taken for a double, and what is gone.
    private static let dropping = [
        FeatureTalk(
            "doubles within a time",
            """
            C: QUEUE q deduplicate=3600000
            S: OK q ready=0 consumers=0
            C: PUB "" q id=a :x
            S: OK 1
            C: GET q
            S: MSG 1 …
            C: ACK 1
            S: OK
            """,
            then: """
                C: PUB "" q id=a :x
                S: OK 0
                C: PUB "" q id=b :x
                S: OK 1
                """),
        FeatureTalk(
            "doubles of what is queued",
            """
            C: QUEUE q deduplicate=while-queued
            S: OK q ready=0 consumers=0
            C: PUB "" q id=gone :x
            S: OK 1
            C: PUB "" q id=there :x
            S: OK 1
            C: GET q
            S: MSG 1 …
            C: ACK 1
            S: OK
            """,
            then: """
                C: PUB "" q id=gone :x
                S: OK 1
                C: PUB "" q id=there :x
                S: OK 0
                """),
        FeatureTalk(
            "doubles at an exchange",
            """
            C: EXCHANGE e fanout deduplicate=3600000
            S: OK
            C: QUEUE q
            S: OK q ready=0 consumers=0
            C: BIND q e
            S: OK
            C: PUB e "" id=a :x
            S: OK 1
            """,
            then: """
                C: PUB e "" id=a :x
                S: OK 0
                C: PUB e "" id=b :x
                S: OK 1
                """),
        FeatureTalk(
            "queues that expire if empty",
            """
            C: QUEUE q
            S: OK q ready=0 consumers=0
            C: PUB "" q :one
            S: OK 1
            C: POLICY p ^q$ expires-if-empty=1
            S: OK
            """,
            then: """
                C: GET q
                S: MSG 1 …
                C: PING
                S: OK
                C: NACK 1
                S: OK
                C: PEEK q
                S: ROW {"position":1,…
                S: OK 1
                """),
    ]

    /// What is changed while it waits, and all or nothing.
    private static let changing = [
        FeatureTalk(
            "edits and cancels",
            """
            C: QUEUE q
            S: OK q ready=0 consumers=0
            C: PUB "" q :one
            S: OK 1
            C: PUB "" q :two
            S: OK 1
            C: EDIT q 1 if=1 key=k h.tries=7 :three
            S: OK
            C: CANCEL q 2
            S: OK
            """,
            then: """
                C: EDIT q 1 if=1 :four
                S: ERR 406 PRECONDITION_FAILED the message has version 2, not 1; look at it again
                C: GET q
                S: MSG 1 q "" k redelivered=0 deliveries=1 position=1 h.tries=7 {5}
                B: three
                C: GET q
                S: NIL
                """),
        FeatureTalk(
            "transactions",
            """
            C: QUEUE a
            S: OK a ready=0 consumers=0
            C: QUEUE b
            S: OK b ready=0 consumers=0
            C: PUB "" a :work
            S: OK 1
            C: GET a
            S: MSG 1 …
            C: BEGIN
            S: OK
            C: PUB "" a :result
            S: OK queued
            C: PUB "" b :receipt
            S: OK queued
            C: ACK 1
            S: OK queued
            C: COMMIT
            S: OK 2
            C: BEGIN
            S: OK
            C: PUB "" b :forgotten
            S: OK queued
            C: ROLLBACK
            S: OK
            """,
            then: """
                C: GET a
                S: MSG …
                B: result
                C: GET a
                S: NIL
                C: GET b
                S: MSG …
                B: receipt
                C: GET b
                S: NIL
                """),
        FeatureTalk(
            "policies",
            """
            C: QUEUE q
            S: OK q ready=0 consumers=0
            C: POLICY short ^q max-length=1
            S: OK
            C: POLICY gone ^q priority=9 max-length=7
            S: OK
            C: DROP policy gone
            S: OK
            """,
            then: """
                C: PUB "" q :one
                S: OK 1
                C: PUB "" q :two
                S: OK 1
                C: GET q
                S: MSG 1 …
                B: two
                C: LIST policies
                S: ROW {"name":"short",…
                S: OK 1
                """),
        FeatureTalk(
            "virtual hosts",
            """
            C: CREATE vhost shop
            S: OK
            C: CREATE vhost gone
            S: OK
            C: QUEUE q
            S: OK q ready=0 consumers=0
            C: PUB "" q :here
            S: OK 1
            C: VHOST gone
            S: OK
            C: QUEUE q
            S: OK q ready=0 consumers=0
            C: PUB "" q :nowhere
            S: OK 1
            C: VHOST shop
            S: OK
            C: DROP vhost gone
            S: OK 1
            C: QUEUE q max-length=1
            S: OK q ready=0 consumers=0
            C: PUB "" q :there
            S: OK 1
            C: LIMIT vhost shop max-queues=1
            S: OK
            """,
            then: """
                C: GET q
                S: MSG 1 …
                B: here
                C: ACK 1
                S: OK
                C: VHOST gone
                S: ERR 404 NOT_FOUND no vhost 'gone'
                C: VHOST shop
                S: OK
                C: GET q
                S: MSG 2 …
                B: there
                C: QUEUE more
                S: ERR 406 PRECONDITION_FAILED cannot declare queue 'more': …
                """),
        FeatureTalk(
            "users",
            """
            C: USER import app hash=$rabbitmq-sha256$kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2POR
            S: OK
            C: USER import gone hash="" tags=administrator
            S: OK
            C: PERMISSION set app / ^a .* ""
            S: OK
            C: PERMISSION set-topics app / amq.topic ^{username} ""
            S: OK
            C: PERMISSION set-topics app / events "" ""
            S: OK
            C: PERMISSION clear-topics app / events
            S: OK
            C: USER limit app max-connections=1
            S: OK
            C: USER delete gone
            S: OK
            """,
            then: """
                C: LIST users
                S: ROW {"name":"app","tags":[],…,"max_connections":1,"max_channels":null}
                S: OK 1
                C: AUTH app test12
                S: OK
                C: QUEUE a
                S: OK a ready=0 consumers=0
                C: QUEUE b
                S: ERR 403 ACCESS_REFUSED configure access to queue 'b' in vhost '/' refused for user 'app'
                C: PUB amq.topic app.1 :x
                S: OK 0
                C: PUB amq.topic x :x
                S: ERR 403 ACCESS_REFUSED write access to topic 'x' in exchange …
                C: PUB events x :x
                S: ERR 404 NOT_FOUND …
                """),
    ]
}
