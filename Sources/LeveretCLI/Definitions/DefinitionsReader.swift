// From a definitions file, as RabbitMQ 3.10 to 4 and `leveret export` write it, to the requests that declare what it
// names. What this version has nothing for is left out with a note; what makes no sense is refused with the entry
// that it stands in, before anything is asked of a server.

import Leveret
import LeveretWire

/// What is to be declared, virtual host by virtual host and in an order that goes.
struct DefinitionsPlan {
    /// One thing to declare.
    struct Step {
        /// As sentences name it: `queue 'jobs'`.
        var name: String
        var kind: DefinitionKind
        var request: LineRequest
    }

    /// What is to be declared in one virtual host.
    struct Part {
        /// Its name.
        var vhost: String
        var steps: [Step] = []
    }

    private(set) var parts: [Part] = []
    /// What the part that is being read declares.
    var steps: [Step] = []
    /// What is left out and why, a sentence each.
    var notes: [String] = []

    /// Reads a file.
    ///
    /// - Parameter vhost: Only what is of this virtual host; `nil` takes all.
    /// - Throws: `Failure`, naming the entry that is wrong.
    init(_ file: JSON, vhost: String?) throws(Failure) {
        guard case .object = file else {
            throw Failure(
                .refused, "this is no definitions file: it must be one JSON object; nothing was imported")
        }
        let read = try DefinitionsParts.read(file, vhost: vhost)
        notes = read.notes
        for entry in read.users { try addUser(entry) }
        if !steps.isEmpty { try finishPart("/") }
        for part in read.parts {
            for entry in part.permissions { try addPermission(entry, in: part.vhost) }
            for entry in part.topicPermissions { try addTopicPermission(entry, in: part.vhost) }
            for entry in part.exchanges { try addExchange(entry) }
            for entry in part.queues { try addQueue(entry) }
            for entry in part.bindings { try addBinding(entry) }
            for entry in part.policies { try addPolicy(entry, isOperator: false) }
            for entry in part.operatorPolicies { try addPolicy(entry, isOperator: true) }
            for entry in part.limits { try addLimits(entry, of: part.vhost) }
            try finishPart(part.vhost)
        }
    }

    /// What has been read is what is to be declared there.
    private mutating func finishPart(_ vhost: String) throws(Failure) {
        try checkLengths()
        parts.append(Part(vhost: vhost, steps: steps))
        steps = []
    }

    private func checkLengths() throws(Failure) {
        let lineBytesMax = LineLimits().lineBytesMax
        for step in steps where step.request.bytes.count > lineBytesMax {
            throw Failure(
                .refused,
                "\(step.name) takes a request of \(step.request.bytes.count) bytes, a server takes \(lineBytesMax); "
                    + "shorten its arguments; nothing was imported")
        }
    }

    // MARK: - Entries

    private mutating func addExchange(_ entry: DefinitionEntry) throws(Failure) {
        let name = try entry.text("name")
        guard !isOwn(name, "exchange") else { return }
        var request = LineRequest("EXCHANGE").argument(name).argument(try entry.text("type"))
            .word("durable=no", if: try !entry.flag("durable", or: true))
            .word("auto-delete", if: try entry.flag("auto_delete", or: false))
            .word("internal", if: try entry.flag("internal", or: false))
        for argument in try entry.fields("arguments") {
            if argument.name == ExchangeArgument.alternate, let alternate = argument.value.text {
                request = request.option("alternate", alternate)
            } else {
                add(argument, to: &request, of: entry.name)
            }
        }
        steps.append(Step(name: entry.name, kind: .exchange, request: request))
    }

    private mutating func addQueue(_ entry: DefinitionEntry) throws(Failure) {
        let name = try entry.text("name")
        guard !isOwn(name, "queue") else { return }
        var request = LineRequest("QUEUE").argument(name)
            .word("durable=no", if: try !entry.flag("durable", or: true))
            .word("auto-delete", if: try entry.flag("auto_delete", or: false))
        let arguments = try entry.fields("arguments")
        for argument in arguments { add(argument, to: &request, of: entry.name) }
        // RabbitMQ 4 names the type beside the arguments, too.
        if let type = entry.json["type"]?.text, type != "classic",
            !arguments.contains(where: { $0.name == QueueArgument.type })
        {
            request = request.extra(QueueArgument.type, .string(type))
        }
        steps.append(Step(name: entry.name, kind: .queue, request: request))
    }

    private mutating func addBinding(_ entry: DefinitionEntry) throws(Failure) {
        let source = try entry.text("source")
        let target = try entry.text("destination")
        let kind = try entry.text("destination_type")
        guard !source.isEmpty else { return }  // every queue has it
        guard ["queue", "exchange"].contains(kind) else {
            throw entry.wrong("destination_type", "queue or exchange")
        }
        guard kind != "queue" || !DefinitionsWriter.isOwn(target) else { return }
        var request = LineRequest(kind == "queue" ? "BIND" : "BINDX").argument(target).argument(source)
            .argument(try entry.text("routing_key", or: ""))
        for argument in try entry.fields("arguments") {
            request = request.header(argument.name, argument.value)
        }
        steps.append(Step(name: entry.name, kind: .binding, request: request))
    }

    private mutating func addPolicy(_ entry: DefinitionEntry, isOperator: Bool) throws(Failure) {
        let target = try entry.text("apply-to", or: "all")
        guard target != "streams" else {
            return notes.append("\(entry.name) is for streams, which there are none of: it is left out")
        }
        var request = LineRequest("POLICY").argument(try entry.text("name")).argument(
            try entry.text("pattern")
        )
        .option("apply-to", target).option("priority", try entry.number("priority", or: 0))
        .word("operator", if: isOperator)
        var settings = 0
        for setting in try entry.fields("definition") {
            guard let argument = PolicySetting.argument(of: setting.name) else {
                notes.append(
                    "\(entry.name) sets '\(setting.name.printable)', which means nothing here: it is left out"
                )
                continue
            }
            settings += 1
            if argument == ExchangeArgument.alternate {
                request = request.option("alternate", setting.value.text ?? setting.value.compact)
            } else {
                request = request.extra(argument, setting.value)
            }
        }
        guard settings > 0 else {
            return notes.append("\(entry.name) sets nothing that counts here: it is left out")
        }
        steps.append(Step(name: entry.name, kind: isOperator ? .operatorPolicy : .policy, request: request))
    }

    private mutating func addLimits(_ entry: DefinitionEntry, of vhost: String) throws(Failure) {
        var request = LineRequest("LIMIT").word("vhost").argument(vhost)
        for setting in try entry.fields("value") {
            guard VirtualHostSetting.names.contains(setting.name) else {
                notes.append(
                    "virtual host '\(vhost.printable)' has the limit '\(setting.name.printable)', which means nothing "
                        + "here: it is left out")
                continue
            }
            guard let most = setting.value.int else {
                throw entry.wrong("value", "an object of whole numbers")
            }
            // RabbitMQ writes no limit as a negative one.
            guard most >= 0 else { continue }
            request =
                setting.name == "max-queues"
                ? request.option("max-queues", most) : request.option("max-connections", most)
        }
        let name = "the limits of virtual host '\(vhost.printable)'"
        steps.append(Step(name: name, kind: .limits, request: request))
    }

    // MARK: - Steps

    private static let known = Set(
        QueueArgument.settable + [QueueArgument.priorityMax, QueueArgument.singleActive, QueueArgument.type]
            + ExchangeArgument.settable + [ExchangeArgument.delayedType])

    /// Adds an argument by its full name. What means nothing here and can't be written is left out.
    private mutating func add(_ argument: JSON.Field, to request: inout LineRequest, of name: String) {
        let isWritten =
            switch argument.value {
            case .string, .bool: true
            case .number(let spelled): spelled.utf8.allSatisfy { (0x30...0x39).contains($0) }
            case .null, .array, .object: false
            }
        if argument.name.hasPrefix("x-"), argument.name.utf8.count > 2,
            isWritten || Self.known.contains(argument.name)
        {
            request = request.extra(argument.name, argument.value)
        } else {
            notes.append(
                "\(name) has the argument '\(argument.name.printable)', which means nothing here: it is left out"
            )
        }
    }

    private mutating func isOwn(_ name: String, _ kind: String) -> Bool {
        guard DefinitionsWriter.isOwn(name) else { return false }
        notes.append("\(kind) '\(name.printable)' has a name that only servers give: it is left out")
        return true
    }
}

/// What definitions declare.
enum DefinitionKind: CaseIterable {
    case user, userLimit, vhost, permission, topicPermission, exchange, queue, binding, policy,
        operatorPolicy, limits

    /// `1 queue`, `2 policies`.
    func counted(_ count: Int) -> String {
        let noun =
            switch self {
            case .user: "user"
            case .userLimit: "user limit"
            case .permission: "permission"
            case .topicPermission: "topic permission"
            case .vhost: "virtual host"
            case .limits: count == 1 ? "virtual host with limits" : "virtual hosts with limit"
            case .exchange: "exchange"
            case .queue: "queue"
            case .binding: "binding"
            case .policy: count == 1 ? "policy" : "policie"
            case .operatorPolicy: count == 1 ? "operator policy" : "operator policie"
            }
        return LeveretCLI.counted(count, noun)
    }
}
