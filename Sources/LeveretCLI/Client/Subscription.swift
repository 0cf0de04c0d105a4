// A subscription to a queue, for commands that wait on more than the server: messages are taken as they come,
// settlements are sent without waiting, and their answers are matched to them in order.

#if canImport(Darwin)
import Darwin
#else
import Glibc
#endif

/// The messages of a queue as they come.
struct Subscription {
    /// What the server said that concerns the command.
    enum Event {
        case message(Delivered)
        /// A row of what `send` asked for.
        case row(JSON)
        /// A settlement was answered: done, or refused.
        case settled(Settled, isDone: Bool)
        /// No more messages will come, for this reason.
        case ended(String)
    }

    /// What a settlement makes of a message.
    enum Settled { case acked, retried, rejected }

    private static let name = "leveret"

    private let client: LineClient
    private let queue: String
    /// Requests that the server hasn't answered, and which of them settle a message.
    private var unanswered: [Settled?] = []
    private var hasEnded = false

    /// Subscribes to a queue; `prefetch` messages may be unsettled.
    init(to queue: String, on client: LineClient, prefetch: Int, autoAck: Bool) throws(Failure) {
        self.client = client
        self.queue = queue
        let request = LineRequest("SUB").argument(queue).option("as", Self.name).option("prefetch", prefetch)
        try client.ask(request.word("auto-ack", if: autoAck))
    }

    /// What the server is read from.
    var descriptor: CInt { client.descriptor }

    /// The next thing that the server has said; `nil` where that is not here yet.
    mutating func next() throws(Failure) -> Event? {
        while let reply = try client.receiveIfHere() {
            switch reply {
            case .message(let message): return .message(message)
            case .row(let row): return .row(row)
            case .done: if let settled = answered() { return .settled(settled, isDone: true) }
            case .refused(let refusal):
                // The message went back, or the server says why not: it is where it should be.
                Terminal.complain("leveret: \(Failure(refusal).text)")
                if let settled = answered() { return .settled(settled, isDone: false) }
            case .push(let text) where text.hasPrefix("END "):
                hasEnded = true
                return .ended(text.split(separator: " ", maxSplits: 2).last.map(String.init) ?? "")
            case .push, .nothing, .text: continue
            }
        }
        return nil
    }

    /// The server has answered the next request: what it settles, if anything.
    private mutating func answered() -> Settled? { unanswered.isEmpty ? nil : unanswered.removeFirst() }

    /// Sends a request that is answered later; one that settles a message is told of when it is.
    mutating func send(_ request: LineRequest, as settled: Settled? = nil) throws(Failure) {
        client.send(request)
        unanswered.append(settled)
        try client.flush()
    }

    /// Ends the subscription: what is unsettled goes back to its place. Returns once everything is answered; rows
    /// and answers that come meanwhile are handed over.
    mutating func end(each: (Event) -> Void = { _ in }) throws(Failure) {
        if !hasEnded { try send(LineRequest("UNSUB").argument(Self.name)) }
        while !unanswered.isEmpty {
            switch try next() {
            case .message?, .ended?: continue
            case let event?: each(event)
            case nil: if !unanswered.isEmpty { try client.waitForMore() }
            }
        }
    }

    /// The failure that the end of a subscription is.
    func failure(_ reason: String) -> Failure {
        let place = "queue '\(queue.printable)'"
        if reason.contains("queue deleted") { return Failure(.notFound, "\(place) was deleted meanwhile") }
        return Failure(
            .refused, "the subscription to \(place) has ended: \(reason.printable); start again to go on")
    }
}
