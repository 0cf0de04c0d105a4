// RabbitMQ's words for the broker's refusals: clients, and their tests, look at some of them. The broker's own say
// more; what has no counterpart in RabbitMQ is told in them.

import LeveretCore

enum AMQPWording {
    /// What channel.close says of `error`, with which the broker refused `request`.
    static func detail(of error: BrokerError, for request: Request?, host: String) -> String {
        switch (error.code, request) {
        case (.resourceLocked, _): locked(request, host) ?? error.text
        case (.preconditionFailed, .settle(let settlement)?):
            "unknown delivery tag \(settlement.tag.rawValue)"
        case (.notAllowed, .consume(let consume)?) where error.text.hasPrefix("consumer '"):
            "attempt to reuse consumer tag '\(consume.tag?.rawValue ?? "")'"
        case (.accessRefused, .consume(let consume)?) where error.text.contains("exclusive access"):
            "queue '\(consume.queue)' in vhost '\(host)' in exclusive use"
        case (.accessRefused, .deleteExchange(let name, _)?) where error.text.contains("reserved prefix"):
            "deletion of system exchange '\(name)' in vhost '\(host)' not allowed"
        case (.preconditionFailed, .deleteExchange(let name, _)?):
            "exchange '\(name)' in vhost '\(host)' in use"
        case (.preconditionFailed, .deleteQueue(let name, let ifUnused, _)?):
            "queue '\(name)' in vhost '\(host)' "
                + (ifUnused && error.text.contains("in use") ? "in use" : "not empty")
        case (.preconditionFailed, .declareQueue(let definition, _)?):
            argument(of: definition, error, host) ?? brief(error.text)
        default: brief(error.text)
        }
    }

    /// Why a queue that the broker would take can't be declared here; `nil` where it can.
    static func fault(of definition: QueueDefinition, host: String) -> String? {
        for field in definition.arguments.fields where whole.contains(field.name) {
            if case .double = field.value { return invalid(field, of: definition, host) }
        }
        guard definition.arguments[QueueArgument.type] == .string("quorum") else { return nil }
        let property: String
        if definition.isExclusive {
            property = "exclusive-owner"
        } else if !definition.isDurable {
            property = "non-durable"
        } else {
            return nil
        }
        return "invalid property '\(property)' for queue '\(definition.name)' in vhost '\(host)'"
    }

    /// AMQP's name of a value's type, as RabbitMQ has it.
    static func typeName(of value: FieldValue) -> String {
        switch value {
        case .bool: "bool"
        case .int: "long"
        case .double: "double"
        case .decimal: "decimal"
        case .string: "longstr"
        case .bytes: "binary"
        case .timestamp: "timestamp"
        case .array: "array"
        case .table: "table"
        case .void: "void"
        }
    }

    /// Without the advice that follows.
    private static func brief(_ text: String) -> String {
        guard let end = text.firstRange(of: "; ") else { return text }
        return String(text[..<end.lowerBound])
    }

    private static func locked(_ request: Request?, _ host: String) -> String? {
        let name: QueueName
        switch request {
        case .declareQueue(let definition, _)?: name = definition.name
        case .deleteQueue(let queue, _, _)?, .purge(let queue)?, .get(let queue, _, _)?: name = queue
        case .consume(let consume)?: name = consume.queue
        case .bind(let binding)?, .unbind(let binding)?:
            guard case .queue(let queue) = binding.target else { return nil }
            name = queue
        default: return nil
        }
        return "cannot obtain exclusive access to locked queue '\(name)' in vhost '\(host)'. "
            + "It could be originally declared on another connection or the exclusive property value does not match "
            + "that of the original declaration."
    }

    /// What is wrong with an argument of a queue, as an Erlang term.
    private static func argument(
        of definition: QueueDefinition, _ error: BrokerError, _ host: String
    ) -> String? {
        guard error.text.hasPrefix("invalid arg '") else { return nil }
        let name = String(error.text.dropFirst(13).prefix { $0 != "'" })
        return definition.arguments.fields.first { $0.name == name }.map { invalid($0, of: definition, host) }
    }

    private static func invalid(
        _ field: FieldTable.Field, of definition: QueueDefinition, _ host: String
    ) -> String {
        "invalid arg '\(field.name)' for queue '\(definition.name)' in vhost '\(host)': "
            + fault(of: field.value, field.name)
    }

    private static let whole: Set<String> = [
        QueueArgument.messageTTL, QueueArgument.expires, QueueArgument.lengthMax, QueueArgument.bytesMax,
        QueueArgument.deliveryLimit, QueueArgument.priorityMax, QueueArgument.consumerTimeout,
        QueueArgument.expiresIfEmpty,
    ]

    private static func fault(of value: FieldValue, _ name: String) -> String {
        if whole.contains(name) {
            guard case .int(let number) = value else {
                return "\"expected integer, got \(typeName(of: value))\""
            }
            if number < 0 { return "{value_negative,\(number)}" }
            if number == 0 { return "{value_zero,0}" }
            return name == QueueArgument.priorityMax
                ? "{max_value_exceeded,\(number)}" : "{value_too_big,\(number)}"
        }
        switch (name, value) {
        case (QueueArgument.overflow, .string): return "invalid_overflow"
        case (QueueArgument.type, .string(let type)): return "\"unsupported queue type '\(type)'\""
        case (QueueArgument.deadLetterRoutingKey, .string): return "routing_key_but_no_dlx_defined"
        case (QueueArgument.singleActive, _): return "\"expected boolean, got \(typeName(of: value))\""
        default: return "{unacceptable_type,\(typeName(of: value))}"
        }
    }
}

extension AMQPFailure {
    /// The broker's refusal of a request that `method` made.
    init(_ error: BrokerError, _ method: AMQPMethodID, _ request: Request? = nil, host: String) {
        var error = error
        // That another may not have it comes before what differs.
        if error.text.hasPrefix("inequivalent arg 'exclusive'") { error.code = .resourceLocked }
        self.init(error.code, AMQPWording.detail(of: error, for: request, host: host), method)
    }
}
