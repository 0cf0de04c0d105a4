// Publishes many messages over one connection: up to 1,000 are under way, and each is answered before it counts.
// PublishCommand feeds it; it holds no message after it has been sent.

/// What became of a run of publishes.
struct PublishTotals: Equatable {
    /// Messages that the server has confirmed: they are safe.
    var confirmed = 0
    /// Of these, those that no queue took.
    var unroutable = 0
    /// Messages that the server refused.
    var refused = 0
    /// The first refusal, and which message it was, counting from 1.
    var firstRefusal: (number: Int, refusal: Reply.Refusal)?

    static func == (a: Self, b: Self) -> Bool {
        a.confirmed == b.confirmed && a.unroutable == b.unroutable && a.refused == b.refused
            && a.firstRefusal?.number == b.firstRefusal?.number
            && a.firstRefusal?.refusal == b.firstRefusal?.refusal
    }
}

/// A window of publishes that wait for their confirms.
struct PublishPipeline {
    /// Messages that may be under way.
    static let windowMax = 1000

    private let client: LineClient
    private let start: [UInt8]
    private let headers: [UInt8]
    private var sent = 0
    /// What has been answered.
    private(set) var totals = PublishTotals()

    /// Publishes to one exchange, every message with the same headers.
    init(_ client: LineClient, exchange: String, headers: [HeaderArgument]) {
        self.client = client
        start = LineRequest("PUB").argument(exchange).bytes + [.space]
        self.headers = LineRequest("").headers(headers).bytes
    }

    /// Sends one message; false once one has been refused, for then the rest should stay.
    mutating func publish(key: some Collection<UInt8>, body: some Collection<UInt8>) throws(Failure) -> Bool {
        try client.send { (buffer) throws(Failure) in
            buffer.append(contentsOf: start)
            LineRequest.appendToken(key, to: &buffer)
            buffer.append(contentsOf: headers)
            LineRequest.appendBody(body, to: &buffer)
        }
        sent += 1
        if waiting >= Self.windowMax { try settle(downTo: Self.windowMax / 2) }
        return totals.refused == 0
    }

    /// Waits for every answer.
    mutating func finish() throws(Failure) { try settle(downTo: 0) }

    private var waiting: Int { sent - totals.confirmed - totals.refused }

    private mutating func settle(downTo count: Int) throws(Failure) {
        try client.flush()
        while waiting > count {
            switch try client.receive() {
            case .done(let routed):
                totals.confirmed += 1
                if routed == "0" { totals.unroutable += 1 }
            case .refused(let refusal):
                totals.refused += 1
                if totals.firstRefusal == nil {
                    totals.firstRefusal = (totals.confirmed + totals.refused, refusal)
                }
            case .nothing, .message, .row, .text, .push: throw client.outOfStep()
            }
        }
    }
}
