// What `top` asks the server, over a connection that is made anew when it is lost. A server that is silent for two
// seconds counts as lost: keys must not wait for it longer. Only a login may take five.

/// A connection for `top`.
struct TopLink {
    /// Messages that the peek view shows.
    private static let messagesMax = 100

    private let target: ServerTarget
    private let login: Login?
    /// So many milliseconds of silence are waited for until it is logged in, and then.
    private let loginMillisecondsMax: CInt
    private let silenceMillisecondsMax: CInt
    private var client: LineClient?

    /// Connects; a server that isn't there at first is a mistake to be told of at once.
    init(
        _ target: ServerTarget, as login: Login?, loginMillisecondsMax: CInt = 5000,
        silenceMillisecondsMax: CInt = 2000
    ) throws(Failure) {
        self.target = target
        self.login = login
        self.loginMillisecondsMax = loginMillisecondsMax
        self.silenceMillisecondsMax = silenceMillisecondsMax
        client = try connect()
    }

    private func connect() throws(Failure) -> LineClient {
        let client = try LineClient(
            target.address, as: login, silenceMillisecondsMax: loginMillisecondsMax)
        try client.enter(target.virtualHost)
        client.silenceMillisecondsMax = silenceMillisecondsMax
        return client
    }

    /// Asks for what the view needs, and no more; `model` learns it, or why not.
    mutating func refresh(_ model: inout TopModel) {
        do {
            let source = try open()
            let status = try source.status()
            switch model.view {
            case .list, .help: model.listed(try Self.list(source), status: status)
            case .queue(let name): model.looked(at: try look(at: name, source, messages: 1), status: status)
            case .peek(let name):
                model.looked(at: try look(at: name, source, messages: Self.messagesMax), status: status)
            }
        } catch let failure as Failure where failure.status == .notFound || failure.status == .conflict {
            model.vanished(failure.text)
        } catch let failure as Failure where failure.status == .refused {
            model.lost(failure.text)
        } catch {
            lose(error, &model)
        }
    }

    /// Does what was asked of it.
    mutating func perform(_ action: TopModel.Action, _ model: inout TopModel) {
        do {
            switch action {
            case .pause(let queue):
                try open().ask(LineRequest("PAUSE").argument(queue))
                model.done("queue '\(queue)' is paused")
            case .resume(let queue):
                try open().ask(LineRequest("RESUME").argument(queue))
                model.done("queue '\(queue)' goes on")
            case .quit, .refresh: break
            }
        } catch  where error.status != .unreachable {
            model.done(error.text)
        } catch {
            lose(error, &model)
        }
    }

    /// Rows for the list.
    static func list(_ source: ServerSource) throws -> [JSON] {
        var rows: [JSON] = []
        try source.queues(match: nil, fields: TopModel.fields) { rows.append($0) }
        return rows
    }

    private func look(at name: String, _ source: ServerSource, messages: Int) throws -> TopModel.Detail {
        var detail = TopModel.Detail()
        detail.row = try source.queue(name)
        detail.reasons = try source.why(name).compactMap { $0["text"]?.text }
        detail.consumers = try source.consumers(of: name)
        let peek = PeekRequest(queue: name, count: messages, from: 0, state: .ready, condition: nil)
        // Who may not read it still sees the rest.
        try source.unlessRefused { try source.peek(peek) { detail.messages.append($0) } }
        return detail
    }

    private mutating func open() throws(Failure) -> ServerSource {
        if let client { return ServerSource(client) }
        let client = try connect()
        self.client = client
        return ServerSource(client)
    }

    /// After any other error the replies may be out of step, so the connection goes with it.
    private mutating func lose(_ error: any Error, _ model: inout TopModel) {
        client = nil
        let text = LeveretCommand.report(error).text
        model.lost("trying again: " + (text.hasPrefix("leveret: ") ? String(text.dropFirst(9)) : text))
    }
}
