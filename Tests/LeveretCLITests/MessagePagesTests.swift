// Messages page by page, however much one answer holds and one search may look at: each once, and none before where it
// begins.

import Testing

@testable import LeveretCLI

/// A source that knows messages, and perhaps answers queries.
private struct FakeSource: Source {
    var look: (PeekRequest) throws -> [JSON] = { _ in [] }
    var answer: (String) throws -> [JSON] = { _ in throw Failure(.refused, "queries are for administrators") }

    /// Has a queue of ready messages at the positions from 1 to `count`, each so far behind it, of which no search may
    /// look at more than `widthMax` and no answer holds more than `pageMax`.
    static func ready(_ count: Int, widthMax: Int = .max, pageMax: Int = .max, shift: Int = 0) -> FakeSource {
        FakeSource { peek in
            let condition = peek.condition ?? ""
            let lowest = condition.firstMatch(of: #/position >= (\d+)/#).flatMap { Int($0.1) } ?? 1
            let end = condition.firstMatch(of: #/position < (\d+)/#).flatMap { Int($0.1) } ?? .max
            guard peek.condition == nil || end - lowest <= widthMax else {
                throw Failure(.refused, "where was stopped after 2000 ms; narrow it")
            }
            let first = max(lowest, peek.from == .max ? count + 1 : peek.from - shift, 1)
            guard first < min(end, count + 1) else { return [] }
            return (first..<min(end, count + 1)).prefix(min(peek.count, pageMax)).map { position in
                .object([
                    .init(name: "position", value: .int(position)),
                    .init(name: "place", value: .int(position + shift)),
                ])
            }
        }
    }

    func queue(_ name: String) throws -> JSON { .object([]) }
    func query(_ sql: String, each: (JSON) throws -> Void) throws { try answer(sql).forEach(each) }
    func peek(_ peek: PeekRequest, each: (JSON) throws -> Void) throws { try look(peek).forEach(each) }
    func status() throws -> JSON { .object([]) }
    func queues(match: String?, fields: [String]?, each: (JSON) throws -> Void) throws {}
    func exchanges(match: String?, each: (JSON) throws -> Void) throws {}
    func bindings(each: (JSON) throws -> Void) throws {}
    func policies(each: (JSON) throws -> Void) throws {}
    var virtualHost: String { "/" }
    func virtualHosts(match: String?, each: (JSON) throws -> Void) throws {}
    func entering(_ virtualHost: String) throws -> any Source { self }
    func consumers(match: String?, each: (JSON) throws -> Void) throws {}
    func users(each: (JSON) throws -> Void) throws {}
    func permissions(each: (JSON) throws -> Void) throws {}
    func topicPermissions(each: (JSON) throws -> Void) throws {}
    func route(exchange: String, key: String, headers: [HeaderArgument], each: (JSON) throws -> Void) throws {
    }
}

@Suite struct MessagePagesTests {
    private func positions(_ pages: MessagePages) throws -> [Int] {
        var pages = pages
        var found: [Int] = []
        while let messages = try pages.next() { found += messages.map(\.position) }
        return found
    }

    @Test(arguments: [300, 1_000, .max])
    func `each message comes once, however narrow the searches must be`(widthMax: Int) throws {
        let source = FakeSource.ready(3000, widthMax: widthMax)
        let all = try MessagePages(of: "jobs", state: .ready, where: nil, in: source)
        #expect(try positions(all) == Array(1...3000))
        let some = try MessagePages(of: "jobs", state: .ready, where: nil, from: 2500, in: source)
        #expect(try positions(some) == Array(2500...3000))
        let last = JSON.object([.init(name: "position", value: .int(1100))])
        let rest = try MessagePages(
            of: "jobs", state: .ready, where: nil, from: 100, behind: last, in: source)
        #expect(try positions(rest) == Array(1101...3000))
    }

    @Test func `a search that is too long however narrow it is fails`() throws {
        let source = FakeSource.ready(3000, widthMax: 10)
        let pages = try MessagePages(of: "jobs", state: .ready, where: nil, in: source)
        #expect(throws: Failure.self) { try positions(pages) }
    }

    @Test func `an answer with fewer messages than were asked for is not the last`() throws {
        let source = FakeSource.ready(300, pageMax: 53)
        let all = try MessagePages(of: "jobs", state: .ready, where: nil, in: source)
        #expect(try positions(all) == Array(1...300))
        for count in [1, 53, 54, 200, 300, 5000] {
            var shown: [Int] = []
            let request = PeekRequest(queue: "jobs", count: count, from: 0, state: .ready)
            try source.messages(request) { shown.append($0.position) }
            #expect(shown == Array(1...min(count, 300)))
        }
    }

    @Test(arguments: [.max, 1_000])
    func `messages far behind their positions come once, and nobody needs to know SQL`(widthMax: Int) throws {
        let source = FakeSource.ready(3000, widthMax: widthMax, shift: 10_000)
        let all = try MessagePages(of: "jobs", state: .ready, where: nil, in: source)
        #expect(try positions(all) == Array(1...3000))
    }
}

@Suite struct DeadLetterCountsTests {
    @Test func `many delayed dead letters are counted in stretches that a query may have`() throws {
        let count = 12_000
        let source = FakeSource(answer: { sql in
            if sql.hasPrefix("SELECT id FROM") { return [.object([.init(name: "id", value: .int(1))])] }
            guard sql.contains("place <= 0") else { return [] }
            let size = try #require(sql.firstMatch(of: #/LIMIT (\d+)/#).flatMap { Int($0.1) })
            let last = try #require(sql.firstMatch(of: #/id > (\d+)/#).flatMap { Int($0.1) })
            guard size <= 5000 else { throw Failure(.refused, "the query was stopped after 2000 ms") }
            let found = min(size, count - last)
            return [
                .object([
                    .init(name: "queue", value: .string("dead")),
                    .init(name: "origin", value: .string("jobs")),
                    .init(name: "n", value: .int(found)), .init(name: "cursor", value: .int(last + found)),
                ])
            ]
        })
        var counts = try DeadLetterCounts(of: "dead", in: source)
        try counts.countAll { _ in true }
        #expect(counts.seen == count && counts.rows.map { $0.count("count") } == [count])
    }
}

extension PeekRequest {
    fileprivate init(queue: String, count: Int, from: Int, state: PeekState) {
        self.init(queue: queue, count: count, from: from, state: state, condition: nil)
    }
}
