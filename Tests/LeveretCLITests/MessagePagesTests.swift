// Messages page by page where a search over all of them takes too long: each once, and none before where it begins.

import Testing

@testable import LeveretCLI

/// A queue of ready messages at the positions from 1 on, of which no search may look at many.
private struct SlowSource: Source {
    let count: Int
    /// Positions that one search may be about.
    let widthMax: Int

    func queue(_ name: String) throws -> JSON { .object([]) }

    func query(_ sql: String, each: (JSON) throws -> Void) throws {
        try each(.object([.init(name: "top", value: .int(count))]))
    }

    func peek(_ peek: PeekRequest, each: (JSON) throws -> Void) throws {
        let condition = peek.condition ?? ""
        let lowest = condition.firstMatch(of: #/position >= (\d+)/#).flatMap { Int($0.1) } ?? 0
        let end = condition.firstMatch(of: #/position < (\d+)/#).flatMap { Int($0.1) } ?? .max
        guard end - lowest <= widthMax else {
            throw Failure(.refused, "where was stopped after 2000 ms; narrow it")
        }
        let positions = max(1, lowest, peek.from)..<max(1, lowest, peek.from, min(end, count + 1))
        for position in positions.prefix(peek.count) {
            try each(.object([.init(name: "position", value: .int(position))]))
        }
    }

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
        let source = SlowSource(count: 3000, widthMax: widthMax)
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
        let source = SlowSource(count: 3000, widthMax: 10)
        let pages = try MessagePages(of: "jobs", state: .ready, where: nil, in: source)
        #expect(throws: Failure.self) { try positions(pages) }
    }
}
