// Publishes many messages over one connection: up to 1,000 are under way, and each is answered before it counts.
// PublishCommand feeds it; it holds no message after it has been sent.

/// What became of a run of publishes. Answers come in the order of the messages, which are counted from 1.
struct PublishTotals: Equatable {
    /// Messages that have been sent.
    var sent = 0
    /// Messages that the server has confirmed: they are safe.
    var confirmed = 0
    /// Of these, those that no queue took.
    var unroutable = 0
    /// The messages that the server refused; the window bounds how many stretches there are.
    var refused: [ClosedRange<Int>] = []
    /// Why it refused the first of them.
    var refusal: Reply.Refusal?

    /// How many it refused.
    var refusedCount: Int { refused.reduce(0) { $0 + $1.count } }
    /// Messages without an answer: they may be stored.
    var unanswered: Int { sent - confirmed - refusedCount }

    /// Counts the next answer.
    mutating func confirm(routed: Bool) {
        confirmed += 1
        if !routed { unroutable += 1 }
    }

    /// Counts the next answer.
    mutating func refuse(_ refusal: Reply.Refusal) {
        let number = confirmed + refusedCount + 1
        if let last = refused.last, last.upperBound == number - 1 {
            refused[refused.count - 1] = last.lowerBound...number
        } else {
            refused.append(number...number)
        }
        if self.refusal == nil { self.refusal = refusal }
    }

    /// The refused messages: `3, 7-9, 12-1000`.
    var refusedNumbers: String {
        let shown = refused.prefix(50).map {
            $0.count == 1 ? "\($0.lowerBound)" : "\($0.lowerBound)-\($0.upperBound)"
        }
        let rest = refused.count - shown.count
        return shown.joined(separator: ", ") + (rest > 0 ? " and \(rest) more stretches" : "")
    }
}

/// A window of publishes that wait for their confirms.
struct PublishPipeline {
    /// Messages that may be under way.
    static let windowMax = 1000

    private let client: LineClient
    private let start: [UInt8]
    private let options: [UInt8]
    /// What has been answered.
    private(set) var totals = PublishTotals()

    /// Publishes to one exchange, every message with the same headers and delay. With `mandatory`, a message that no
    /// queue takes is refused.
    init(
        _ client: LineClient, exchange: String, headers: [HeaderArgument], delayMilliseconds: Int? = nil,
        mandatory: Bool = false
    ) {
        self.client = client
        start = LineRequest("PUB").argument(exchange).bytes + [.space]
        options =
            LineRequest("").word("mandatory", if: mandatory)
            .option("delay", delayMilliseconds).headers(headers).bytes
    }

    /// What stands in the way of sending this; the server could only answer it by closing the connection.
    func problem(key: some Collection<UInt8>, body: some Collection<UInt8>) -> String? {
        if key.count > 255 { return "the routing key has \(key.count) bytes; at most 255 are allowed" }
        if String(validating: key, as: UTF8.self) == nil { return "the routing key is not UTF-8" }
        if body.count > client.bodyBytesMax {
            return
                "the body has \(body.count) bytes; the server takes \(client.bodyBytesMax) (serve --max-body)"
        }
        return nil
    }

    /// Sends one message; false once one has been refused, for then the rest should stay.
    mutating func publish(key: some Collection<UInt8>, body: some Collection<UInt8>) throws(Failure) -> Bool {
        try client.send { (buffer) throws(Failure) in
            buffer.append(contentsOf: start)
            LineRequest.appendToken(key, to: &buffer)
            buffer.append(contentsOf: options)
            LineRequest.appendBody(body, to: &buffer)
        }
        totals.sent += 1
        if totals.unanswered >= Self.windowMax { try settle(downTo: Self.windowMax / 2) }
        return totals.refusal == nil
    }

    /// Waits for every answer.
    mutating func finish() throws(Failure) { try settle(downTo: 0) }

    private mutating func settle(downTo count: Int) throws(Failure) {
        try client.flush()
        while totals.unanswered > count {
            switch try client.receive() {
            case .done(let routed): totals.confirm(routed: routed != "0")
            case .refused(let refusal): totals.refuse(refusal)
            case .nothing, .message, .row, .text, .push: throw client.outOfStep()
            }
        }
    }
}
