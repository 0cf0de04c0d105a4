// From the tokens of one line and its body to what is asked. The decoder calls it; it changes nothing and
// remembers nothing.

public import LeveretCore

/// What one line asks, understood.
public enum LineCommand: Sendable {
    /// Something for the broker, and how its answer is written.
    case submit(Request, LineReplyForm)
    /// `HELLO`, with the name the client gives itself.
    case hello(name: String?)
    /// `BEGIN`.
    case begin
    /// `COMMIT`.
    case commit
    /// `ROLLBACK`.
    case rollback
    /// `PING`.
    case ping
    /// `HELP`, of one verb or of all.
    case help(verb: String?)
    /// `QUIT`.
    case quit
    /// `AUTH`, and those of `USER` that are about a password.
    indirect case password(PasswordCommand)

    /// False for what may be said at any time, also between BEGIN and COMMIT.
    var isPartOfTransaction: Bool {
        switch self {
        case .submit, .begin, .commit, .rollback, .password: true
        case .hello, .ping, .help, .quit: false
        }
    }
}

/// What a reply needs that the broker's answer doesn't say.
public enum LineReplyForm: Sendable, Hashable {
    /// The answer says it all.
    case plain
    /// `OK name` instead of `OK`: the reply to UNSUB.
    case named(String)
    /// Rows of PEEK without the messages' bodies.
    case withoutBodies
    /// Rows of PEEK as IMPORT takes them, of messages of this queue.
    case documents(QueueName)
    /// Rows of a listing.
    case rows
    /// Rows of a listing, and of each only the fields of these names.
    case fields(Set<String>)
    /// A GET of this queue that may wait.
    case waiting(QueueName)
    /// A transaction; the tags of its requests, by their place.
    case transaction(tags: [Int: String])

    /// The reply may be long.
    var isListing: Bool {
        switch self {
        case .rows, .withoutBodies, .documents, .fields: true
        case .plain, .named, .waiting, .transaction: false
        }
    }

    /// The names of the fields that its rows have; `nil` is all.
    var fields: Set<String>? { if case .fields(let fields) = self { fields } else { nil } }
}

/// A request as far as its line says it: the body is still to come.
enum LineHead {
    /// `PUB`, whose message wants a body.
    case publish(LinePublish)
    /// `EDIT` that gives another body.
    case edit(MessageEdit)
    /// `MOVE` or `REPLAY` of one message that gets another body.
    case move(Move)
    /// `IMPORT`, whose body is the message as JSON.
    case restore(QueueName)
    /// A request whose body is a password.
    indirect case password(PasswordCommand)
    /// A request without a body.
    case complete(LineCommand)
}

/// A publish without its body.
struct LinePublish {
    var exchange: ExchangeName
    var routingKey: String
    var properties: MessageProperties?
    var isPersistent = true
    var isMandatory = false
    /// Its body is the message as JSON, as IMPORT takes it.
    var isDocument = false

    /// The message with its body.
    func command(body: [UInt8]) throws(BrokerError) -> LineCommand {
        let document = isDocument ? try MessageDocument.read(body, for: QueueName("")).message : nil
        let message = Message(
            exchange: exchange,
            routingKey: routingKey,
            properties: document?.properties ?? properties,
            isPersistent: document?.isPersistent ?? isPersistent,
            body: document?.body ?? body
        )
        return .submit(.publish(message, mandatory: isMandatory), .plain)
    }
}

extension LineHead {
    /// Understands a line's tokens; `hasBody` says whether a body follows.
    init(_ tokens: [LineToken], hasBody: Bool) throws(BrokerError) {
        guard let first = tokens.first else {
            throw BrokerError(.syntaxError, "the line has no verb; HELP lists them")
        }
        let word = first.shown
        guard !first.hasQuote, let verb = LineVerb(rawValue: word.lowercased()) else {
            if LineVerb.later.contains(word.lowercased()) {
                throw BrokerError(
                    .notImplemented,
                    "\(word.uppercased()) is not built yet; HELP lists what is"
                )
            }
            throw BrokerError(.commandInvalid, "unknown verb '\(word)'; HELP lists them")
        }
        let arguments = try LineArguments(verb, tokens.dropFirst())
        guard !hasBody || verb.takesBody else {
            throw BrokerError(
                .syntaxError, "\(verb.rawValue.uppercased()) takes no body; the syntax is: \(verb.syntax)")
        }
        self = try Self.parse(arguments, hasBody: hasBody)
    }

    private static func parse(_ arguments: LineArguments, hasBody: Bool) throws(BrokerError) -> LineHead {
        switch arguments.verb {
        case .pub:
            guard hasBody else {
                throw BrokerError(
                    .syntaxError,
                    "PUB needs a body: :text to the end of the line, or {N} and N bytes"
                )
            }
            return .publish(try arguments.publish())
        case .move, .replay: return try arguments.move(hasBody: hasBody)
        case .import:
            guard hasBody else {
                throw BrokerError(
                    .syntaxError, "IMPORT needs a body: the message as JSON, :json or {N} and N bytes")
            }
            return .restore(QueueName(try arguments.name(0, "queue's name")))
        case .auth: return try arguments.logIn(hasBody: hasBody)
        case .user: return try arguments.user(hasBody: hasBody)
        case .permission: return .complete(.submit(.administer(try arguments.permission()), .plain))
        case .hello: return .complete(.hello(name: try arguments.text("name")))
        case .ping: return .complete(.ping)
        case .begin: return .complete(.begin)
        case .commit: return .complete(.commit)
        case .rollback: return .complete(.rollback)
        case .quit: return .complete(.quit)
        case .help: return .complete(.help(verb: arguments.positional.first?.shown.lowercased()))
        case .unsub:
            let name = try arguments.name(0, "subscription's name")
            return .complete(.submit(.cancel(ConsumerTag(name), requeue: true), .named(name)))
        case .peek:
            let form: LineReplyForm = try arguments.flag("body", default: true) ? .rows : .withoutBodies
            return .complete(.submit(.peek(try arguments.peek()), form))
        case .export:
            let peek = try arguments.peek(count: LineLimits.peekCountMax)
            return .complete(.submit(.peek(peek), .documents(peek.queue)))
        case .edit: return try arguments.edit(hasBody: hasBody)
        case .cancel: return .complete(.submit(try arguments.cancelMessage(), .plain))
        case .kill: return .complete(.submit(try arguments.kill(), .plain))
        case .log: return .complete(.submit(try arguments.logLevel(), .plain))
        case .vhost, .create, .limit: return .complete(.submit(try arguments.virtualHost(), .plain))
        case .list, .stat, .why, .route, .sql:
            return .complete(.submit(try arguments.listing(), try arguments.listingForm()))
        case .exchange, .queue, .bind, .unbind, .bindx, .unbindx, .policy, .pause, .resume, .purge, .drop:
            return .complete(.submit(try arguments.topology(), .plain))
        case .get, .sub, .ack, .nack, .reject, .touch:
            let request = try arguments.consuming()
            if case .get(let queue, autoAck: _, let wait) = request, wait > 0 {
                return .complete(.submit(request, .waiting(queue)))
            }
            return .complete(.submit(request, .plain))
        }
    }
}
