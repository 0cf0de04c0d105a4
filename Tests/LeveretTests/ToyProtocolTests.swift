// Another protocol on the broker, as a third party would write it: nothing but the public API. Lines go in
// (`MAKE queue`, `PUT queue text`, `TAKE queue`, `DONE number`), lines come out.

import Leveret
import Synchronization
import Testing

/// The server's side of one client. The clients' transport is a stream of lines.
private final class ToyConnection: Sendable {
    let output: AsyncStream<String>
    private let lines: AsyncStream<String>.Continuation
    private let connection: BrokerConnection
    private let session: BrokerSession
    private let wakes: AsyncStream<Void>
    /// Which command each open ticket belongs to.
    private let commands = Mutex<(next: UInt64, open: [Ticket: String])>((0, [:]))

    init(to broker: Broker, name: String) {
        (output, lines) = AsyncStream.makeStream(of: String.self)
        let (wakes, bell) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
        self.wakes = wakes
        connection = broker.openConnection(name: name)
        session = connection.openSession { bell.yield() }  // only passes the word on
    }

    /// Serves the client until its session is closed: every wake is a drain, on this task.
    func serve() async {
        for await _ in wakes {
            var events: [SessionEvent] = []
            session.drain(into: &events)
            reply(to: events)
        }
    }

    /// One read of the socket: all its lines go in under one lock.
    func received(_ text: String) {
        let submissions = text.split(separator: "\n").compactMap { submission(for: $0) }
        var events: [SessionEvent] = []
        session.submit(submissions, events: &events)
        reply(to: events)
    }

    func hangUp() {
        connection.close()
        lines.finish()
    }

    private func submission(for line: Substring) -> Submission? {
        let words = line.split(separator: " ", maxSplits: 2).map(String.init)
        guard let request = request(words) else {
            lines.yield("WHAT? \(line)")
            return nil
        }
        return commands.withLock { commands in
            commands.next += 1
            let ticket = Ticket(commands.next)
            commands.open[ticket] = words[0]
            return Submission(ticket, request)
        }
    }

    private func request(_ words: [String]) -> Request? {
        switch (words.first, words.count) {
        case ("MAKE", 2): return .declareQueue(QueueDefinition(QueueName(words[1])), passive: false)
        case ("PUT", 3):
            let body = Array(words[2].utf8)
            return .publish(Message(exchange: .default, routingKey: words[1], body: body), mandatory: true)
        case ("TAKE", 2): return .consume(Consume(queue: QueueName(words[1]), prefetch: 1))
        case ("DONE", 2): return UInt64(words[1]).map { .settle(Settlement(.ack, DeliveryTag($0))) }
        default: return nil
        }
    }

    private func reply(to events: [SessionEvent]) {
        for event in events {
            switch event {
            case .delivery(let delivery):
                let text = String(decoding: delivery.message.body, as: UTF8.self)
                lines.yield("JOB \(delivery.tag.rawValue) \(text)")
            case .answer(let ticket, let answer):
                let command = commands.withLock { $0.open.removeValue(forKey: ticket) } ?? "?"
                lines.yield("\(command) \(word(for: answer))")
            case .consumerEnded(_, let end): lines.yield("END \(end.rawValue)")
            case .notice(.draining): lines.yield("BYE")
            case .notice: break
            }
        }
    }

    private func word(for answer: Answer) -> String {
        switch answer {
        case .refused(let error): "NO \(error.code.rawValue)"
        case .unroutable: "NO 312"
        default: "YES"
        }
    }
}

@Suite(.timeLimit(.minutes(10)))
struct ToyProtocolTests {
    @Test func `a third party can write another protocol with the public API alone`() async throws {
        let broker = try Broker(.memory)
        let (producer, worker) = (ToyConnection(to: broker, name: "p"), ToyConnection(to: broker, name: "w"))
        let serving = [Task { await producer.serve() }, Task { await worker.serve() }]
        var (toProducer, toWorker) = (
            producer.output.makeAsyncIterator(), worker.output.makeAsyncIterator()
        )

        producer.received("MAKE jobs\nPUT jobs first job\nPUT nowhere x\nJUMP\n")
        var answers: Set<String> = []
        for _ in 0..<4 { answers.insert(await toProducer.next() ?? "") }
        #expect(answers == ["MAKE YES", "PUT YES", "PUT NO 312", "WHAT? JUMP"])

        worker.received("TAKE jobs\n")
        #expect(await toWorker.next() == "TAKE YES")
        #expect(await toWorker.next() == "JOB 1 first job")
        producer.received("PUT jobs second\n")
        #expect(await toProducer.next() == "PUT YES")
        worker.received("DONE 1\nDONE 9\n")
        var said: Set<String> = []
        for _ in 0..<3 { said.insert(await toWorker.next() ?? "") }
        #expect(said == ["DONE YES", "JOB 2 second", "DONE NO 406"])

        worker.hangUp()  // with a job in hand: it is ready again, counted as failed
        producer.received("TAKE jobs\n")
        #expect(await toProducer.next() == "TAKE YES")
        #expect(await toProducer.next() == "JOB 1 second")
        try await broker.shutdown()
        #expect(await toProducer.next() == "BYE")
        for task in serving { task.cancel() }
    }
}
