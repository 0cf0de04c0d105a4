// Definitions files as RabbitMQ writes them, read without a server: what is asked of it, what is left out, and what is
// refused before anything is.

import Testing

@testable import LeveretCLI

@Suite struct DefinitionsTests {
    private func plan(_ text: String, vhost: String? = nil) throws -> DefinitionsPlan {
        try DefinitionsPlan(try #require(JSON(text.utf8)), vhost: vhost)
    }

    private func requests(_ plan: DefinitionsPlan) -> [String] {
        plan.parts.flatMap(\.steps).map { String(decoding: $0.request.bytes, as: UTF8.self) }
    }

    /// As `rabbitmqctl export_definitions` of 3.13 writes it, shortened.
    private static let cluster = """
        {"bindings":[{"arguments":{},"destination":"orders","destination_type":"queue","routing_key":"new.*",
        "source":"shop","vhost":"/"},{"arguments":{"x-match":"all","n":5,"deep":[1]},"destination":"archive",
        "destination_type":"exchange","routing_key":"","source":"amq.headers","vhost":"/"}],
        "exchanges":[{"arguments":{"alternate-exchange":"unrouted"},"auto_delete":false,"durable":true,
        "internal":false,"name":"shop","type":"topic","vhost":"/"},{"arguments":[],"auto_delete":true,
        "durable":false,"internal":true,"name":"archive","type":"headers","vhost":"/"}],
        "global_parameters":[{"name":"internal_cluster_id","value":"rabbitmq-cluster-id-x"}],
        "parameters":[{"component":"operator_policy","name":"roof","value":{"apply-to":"queues","definition":
        {"max-length":100000,"expires":3600000},"pattern":".*","priority":1},"vhost":"/"},
        {"component":"shovel","name":"s","value":{},"vhost":"/"}],
        "permissions":[{"configure":".*","read":".*","user":"guest","vhost":"/","write":".*"}],
        "policies":[{"apply-to":"all","definition":{"alternate-exchange":"spare","dead-letter-exchange":"dlx",
        "ha-mode":"all","message-ttl":1000},"name":"p","pattern":"^o","priority":0,"vhost":"/"},
        {"apply-to":"streams","definition":{"max-age":"1D"},"name":"s","pattern":"","priority":0,"vhost":"/"},
        {"apply-to":"queues","definition":{"ha-mode":"all"},"name":"ha","pattern":"","priority":0,"vhost":"/"}],
        "queues":[{"arguments":{"x-queue-type":"quorum","x-max-length":10,"x-single-active-consumer":true,
        "x-dead-letter-exchange":"","odd":1,"x-queue-mode":"lazy","x-list":[1]},"auto_delete":false,"durable":true,
        "name":"orders","type":"quorum","vhost":"/"},{"arguments":{},"auto_delete":false,"durable":true,
        "name":"amq.gen-1","type":"classic","vhost":"/"},{"arguments":{},"auto_delete":true,"durable":false,
        "name":"two words","type":"classic","vhost":"/"}],
        "rabbit_version":"3.13.7","rabbitmq_definition_format":"cluster","rabbitmq_version":"3.13.7",
        "topic_permissions":[{"user":"a","vhost":"/","exchange":"shop","write":"^new\\\\.","read":""}],"users":[{"hashing_algorithm":"rabbit_password_hashing_sha256","limits":{},"name":"guest","password_hash":
        "kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2POR","tags":["administrator"]},{"name":"a","tags":
        "monitoring,x","limits":{"max-connections":3,"max-channels":-1}}],"vhosts":[{"name":"/"}]}
        """

    @Test func `a file of RabbitMQ becomes requests, in an order that goes`() throws {
        #expect(
            requests(try plan(Self.cluster)) == [
                #"USER import guest hash="$rabbitmq-sha256$kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2POR" "#
                    + "tags=administrator",
                #"USER import a hash="" tags="monitoring,x""#, "USER limit a max-connections=3",
                "PERMISSION set guest / .* .* .*",
                #"PERMISSION set-topics a / shop "^new\\." """#,
                "EXCHANGE shop topic alternate=unrouted",
                "EXCHANGE archive headers durable=no auto-delete internal",
                #"QUEUE orders x-queue-type="quorum" x-max-length=10 x-single-active-consumer=true "#
                    + #"x-dead-letter-exchange="" x-queue-mode="lazy""#,
                #"QUEUE "two words" durable=no auto-delete"#,
                "BIND orders shop new.*",
                #"BINDX archive amq.headers "" h."x-match"="all" h."n"=5 h."deep"=json:"[1]""#,
                #"POLICY p "^o" apply-to=all priority=0 alternate=spare x-dead-letter-exchange="dlx" "#
                    + "x-message-ttl=1000",
                "POLICY roof .* apply-to=queues priority=1 operator x-max-length=100000 x-expires=3600000",
            ])
    }

    @Test func `what there is nothing for is left out and named`() throws {
        let notes = try plan(Self.cluster).notes.joined(separator: "\n")
        for words in [
            "user 'guest' comes with its password", "user 'a' has no password", "parameter 's' of 'shovel'",
            "queue 'amq.gen-1' has a name that only servers give", "queue 'orders' has the argument 'odd'",
            "queue 'orders' has the argument 'x-list'", "policy 'p' sets 'ha-mode'",
            "policy 's' is for streams",
            "policy 'ha' sets nothing that counts here",
        ] { #expect(notes.contains(words), "\(notes)") }
    }

    @Test func `each thing goes into its virtual host, or only what is of one`() throws {
        let file =
            #"{"queues":[{"name":"a","vhost":"/"},{"name":"b","vhost":"shop"}],"vhosts":[{"name":"empty"}]}"#
        let all = try plan(file)
        #expect(all.parts.map(\.vhost) == ["/", "empty", "shop"] && all.notes == [])
        #expect(all.parts.map(\.steps.count) == [1, 0, 1])
        #expect(requests(all) == ["QUEUE a", "QUEUE b"])
        #expect(requests(try plan(file, vhost: "shop")) == ["QUEUE b"])
        #expect(try plan(file, vhost: "empty").parts.map(\.steps.count) == [0])
        #expect(try plan(file, vhost: "shop").notes == ["1 definition of other virtual hosts left out"])
        #expect(requests(try plan(file, vhost: "/")) == ["QUEUE a"])
        #expect(#expect(throws: Failure.self) { try plan(file, vhost: "none") }?.status == .notFound)
        // A file of a single virtual host doesn't name it.
        #expect(requests(try plan(#"{"queues":[{"name":"a"}]}"#)) == ["QUEUE a"])
        #expect(requests(try plan(#"{"queues":[{"name":"a"}]}"#, vhost: "any")) == ["QUEUE a"])
    }

    @Test func `limits of virtual hosts stand among the parameters`() throws {
        let file = #"""
            {"parameters":[{"component":"vhost-limits","name":"limits","vhost":"shop",
            "value":{"max-queues":5,"max-connections":-1,"max-channels":7}}]}
            """#
        let plan = try plan(file)
        #expect(requests(plan) == ["LIMIT vhost shop max-queues=5"])
        #expect(plan.notes.first?.contains("the limit 'max-channels'") == true && plan.notes.count == 1)
        let wrong = file.replacing("5,", with: "\"x\",")
        #expect(
            #expect(throws: Failure.self) { try self.plan(wrong) }?.text.contains("whole numbers") == true)
    }

    @Test func `numbers of every spelling reach the server, or its refusal`() throws {
        let file =
            #"{"queues":[{"name":"q","arguments":{"x-expires":1e3,"x-max-length":-5,"x-message-ttl":"60"}}]}"#
        #expect(
            requests(try plan(file)) == [#"QUEUE q x-expires=1000 x-max-length="-5" x-message-ttl="60""#])
        let stream = #"{"queues":[{"name":"q","type":"stream","arguments":{}}]}"#
        #expect(requests(try plan(stream)) == [#"QUEUE q x-queue-type="stream""#])
    }

    @Test(arguments: [
        ("[]", "must be one JSON object"), (#"{"hello":1}"#, "it has none of exchanges, queues"),
        (#"{"queues":{}}"#, "'queues' of the definitions file must be a list"),
        (#"{"queues":[{"durable":true}]}"#, "queue 1 of the file: 'name' is missing; it must be a string"),
        (
            #"{"queues":[{"name":"q","durable":"yes"}]}"#,
            #"queue 'q': 'durable' is "yes"; it must be true or false"#
        ),
        (#"{"queues":[{"name":"q","arguments":[1]}]}"#, "queue 'q': 'arguments' is [1]"),
        (#"{"exchanges":[{"name":"e"}]}"#, "exchange 'e': 'type' is missing"),
        (#"{"bindings":[{"source":"e"}]}"#, "binding 1 of the file: 'destination' is missing"),
        (
            #"{"bindings":[{"source":"e","destination":"q","destination_type":"shelf"}]}"#,
            "binding of exchange 'e' to shelf 'q': 'destination_type'"
        ),
        (
            #"{"policies":[{"name":"p","pattern":"","definition":{},"priority":"x"}]}"#,
            "policy 'p': 'priority'"
        ),
        (#"{"parameters":[{"component":"operator_policy","name":"p","value":5}]}"#, "'value' is 5"),
        (#"{"users":[{"tags":[]}]}"#, "user 1 of the file: 'name' is missing"),
        (#"{"users":[{"name":"u","tags":5}]}"#, "user 'u': 'tags' is 5; it must be a list of strings"),
        (#"{"users":[{"name":"u","limits":{"max-channels":"x"}}]}"#, "user 'u': 'limits' is"),
        (
            #"{"users":[{"name":"u","password_hash":"x","hashing_algorithm":"none"}]}"#,
            "user 'u': the hashing algorithm is 'none'; known are rabbit_password_hashing_sha256"
        ),
        (
            #"{"users":[{"name":"u","password_hash":"x","hashing_algorithm":"rabbit_password_hashing_md5"}]}"#,
            "user 'u': what is to stand for the password is none of"
        ),
        (
            #"{"permissions":[{"user":"u","configure":"","write":""}]}"#,
            "permission of user 'u': 'read' is missing"
        ),
    ])
    func `an entry that makes no sense is named before anything is asked`(file: String, says: String) {
        let failure = #expect(throws: Failure.self) { try plan(file) }
        #expect(failure?.text.contains(says) == true, "\(failure?.text ?? "")")
        #expect(failure?.text.hasSuffix("nothing was imported") == true && failure?.status == .refused)
    }

    @Test func `a request that no server takes is refused by name`() throws {
        let long = String(repeating: "n", count: 9000)
        let file = #"{"queues":[{"name":"q","arguments":{"x-note":"\#(long)"}}]}"#
        #expect(
            #expect(throws: Failure.self) { try plan(file) }?.text.contains("queue 'q' takes a request of")
                == true)
    }
}
