// Topic patterns through the core's front: a topic exchange with the patterns that the lines of the input are,
// asked for the key that its first line is; and again after half of them are gone.

import LeveretCore

enum TopicCheck {
    private static let now: Instant = 1_000_000

    static func fault(in bytes: [UInt8]) -> String? {
        let lines = bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
            .prefix(12).compactMap { String(validating: $0, as: UTF8.self) }
        guard let key = lines.first, lines.allSatisfy({ $0.utf8.count <= 255 }) else { return nil }
        let patterns = Array(lines.dropFirst())
        var exchange = TopicExchange()
        for pattern in patterns { exchange.ask(.bind(exchange.binding(pattern))) }
        if let fault = fault(exchange.matching(key), Set(patterns), key) { return fault }
        let gone = patterns.indices.filter { $0 % 2 == 0 }.map { patterns[$0] }
        for pattern in gone { exchange.ask(.unbind(exchange.binding(pattern))) }
        return fault(exchange.matching(key), Set(patterns).subtracting(gone), key)
    }

    private static func fault(_ found: Set<String>?, _ patterns: Set<String>, _ key: String) -> String? {
        guard let found else { return "the exchange does not answer" }
        let expected = patterns.filter { matches(words($0), words(key)) }
        return found == expected ? nil : "the key '\(key)' finds \(found), not \(expected)"
    }

    private static func words(_ text: String) -> [String] {
        guard !text.isEmpty else { return [] }
        return text.utf8.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
            .map { String(Substring($0)) }
    }

    /// AMQP's definition, one row of "so many words of the pattern match so many of the key" at a time.
    private static func matches(_ pattern: [String], _ key: [String]) -> Bool {
        var row = [Bool](repeating: false, count: key.count + 1)
        row[0] = true
        for word in pattern {
            if word == "#" {
                for index in row.indices.dropFirst() where row[index - 1] { row[index] = true }
            } else {
                for index in row.indices.dropFirst().reversed() {
                    let isSame = word == "*" || word == key[index - 1]
                    row[index] = row[index - 1] && isSame
                }
                row[0] = false
            }
        }
        return row[key.count]
    }

    /// A core with one transient topic exchange and one queue.
    private struct TopicExchange: ~Copyable {
        private var core = BrokerCore(seed: 1)
        private let session: SessionID
        private var ticket: UInt64 = 0

        init() {
            let connection = core.openConnection(name: "fuzz", now: now)
            session = core.openSession(on: connection, now: now)
            ask(.declareExchange(ExchangeDefinition("e", type: .topic, durable: false), passive: false))
            ask(.declareQueue(QueueDefinition("q", durable: false), passive: false))
        }

        func binding(_ pattern: String) -> Binding {
            Binding(source: "e", target: .queue("q"), routingKey: pattern)
        }

        @discardableResult
        mutating func ask(_ request: Request) -> Answer? {
            ticket += 1
            core.submit(Ticket(ticket), request, from: session, now: now)
            var events: [SessionEvent] = []
            core.drain(session, into: &events, now: now)
            for case .answer(Ticket(ticket), let answer) in events { return answer }
            return nil
        }

        /// The patterns by which the key reaches the queue.
        mutating func matching(_ key: String) -> Set<String>? {
            var request = Request.route(Message(exchange: "e", routingKey: key, body: []))
            var patterns: Set<String> = []
            while true {
                guard case .page(.routes(let steps), let next)? = ask(request) else { return nil }
                patterns.formUnion(steps.compactMap(\.pattern))
                guard let next, let more = request.goingOn(after: next) else { return patterns }
                request = more
            }
        }
    }
}
