// `top` without a terminal: keys to state, rows to lines of the screen, and what of these is sent.

import Testing

@testable import LeveretCLI

private func row(_ text: String) throws -> JSON { try #require(JSON(text.utf8)) }

private func queueRow(
    _ name: String, ready: Int = 0, incoming: Double = 0, outgoing: Double = 0, paused: Bool = false
)
    throws -> JSON
{
    try row(
        #"{"name":"\#(name)","ready":\#(ready),"unacked":0,"delayed":0,"consumers":1,"in_rate":\#(incoming),"#
            + #""out_rate":\#(outgoing),"paused_since":\#(paused ? #""2027-01-15T08:00:00.000Z""# : "null")}"#
    )
}

private let status =
    #"{"version":"1.2.3","now":"2027-01-15T08:00:00.000Z","uptime":65000,"ready":9,"unacked":0,"delayed":0,"#
    + #""in_rate":3.0,"out_rate":0.0,"resident_bytes":1048576,"disk_free_bytes":1073741824,"alarms":[]}"#

/// A model that has heard of these queues.
private func model(_ rows: [JSON], columns: Int = 80, rows height: Int = 12) throws -> TopModel {
    var model = TopModel()
    model.size = (columns, height)
    model.server = "127.0.0.1:5672"
    model.listed(rows, status: try row(status))
    return model
}

extension TopModel {
    fileprivate var texts: [String] { screen.map(\.text) }
    fileprivate var names: [String] { queues.map(\.name) }

    fileprivate mutating func type(_ text: String) {
        for character in text { _ = pressed(.character(character)) }
    }
}

@Suite struct TopModelTests {
    @Test func `the list is sorted by what waits, and by the next column on demand`() throws {
        let rows = [
            try queueRow("a", ready: 1, incoming: 5), try queueRow("b", ready: 9),
            try queueRow("c", ready: 9, outgoing: 2),
        ]
        var model = try model(rows)
        #expect(model.names == ["b", "c", "a"])
        model.type("ssss")
        #expect(model.sort == .incoming && model.names == ["a", "b", "c"])
        model.type("r")
        #expect(model.names == ["b", "c", "a"])
        model.type("s")
        #expect(model.sort == .outgoing && model.names == ["a", "b", "c"])
        model.type("sr")
        #expect(model.sort == .name && model.names == ["a", "b", "c"])
    }

    @Test func `a filter is typed, holds, and goes with Escape`() throws {
        var model = try model(["jobs", "mails", "Jobs.dead"].map { try queueRow($0) })
        model.type("/jobx")
        #expect(model.isTyping && model.names == [])
        #expect(model.texts.last == "/jobx_")
        _ = model.pressed(.backspace)
        #expect(model.names == ["Jobs.dead", "jobs"])
        _ = model.pressed(.enter)
        #expect(!model.isTyping)
        #expect(model.texts.last == "2 queues of 3 with 'job'  ? help  q quit")
        model.listed([try queueRow("new.job"), try queueRow("mails")], status: try row(status))
        #expect(model.names == ["new.job"])
        _ = model.pressed(.escape)
        #expect(model.names == ["mails", "new.job"])
    }

    @Test func `the selected queue stays selected while others overtake it, and stays in sight`() throws {
        let rows = try (0..<50).map { try queueRow("q\(100 + $0)", ready: 50 - $0) }
        var model = try model(rows)
        for _ in 0..<20 { _ = model.pressed(.down) }
        #expect(model.subject?.name == "q120")
        #expect(model.screen.contains { $0.text.hasPrefix("q120 ") && $0.style == .reversed })
        var changed = rows
        changed[20] = try queueRow("q120", ready: 1000)
        model.listed(changed, status: try row(status))
        #expect(model.subject?.name == "q120" && model.selected == 0)
        #expect(model.screen.contains { $0.text.hasPrefix("q120 ") && $0.style == .reversed })
        _ = model.pressed(.end)
        #expect(model.subject?.name == "q149")
        _ = model.pressed(.pageUp)
        #expect(model.selected == 49 - model.listRows)
        model.listed([], status: try row(status))
        #expect(model.subject == nil && model.texts.contains("there are no queues"))
        #expect(model.pressed(.enter) == nil && model.pressed(.character("v")) == nil)
    }

    @Test func `Enter looks into a queue and Escape comes back`() throws {
        var model = try model([try queueRow("jobs", ready: 2)], columns: 60, rows: 20)
        #expect(model.pressed(.enter) == .refresh)
        #expect(model.view == .queue("jobs"))
        model.looked(
            at: TopModel.Detail(
                row: try queueRow("jobs", ready: 2, incoming: 1),
                reasons: ["queue 'jobs' has 2 messages ready and no consumer"],
                consumers: [
                    try row(#"{"name":"w","session":"worker 1","prefetch":10,"unacked":3,"active":false}"#)
                ],
                messages: [
                    try row(
                        #"{"position":7,"entered":"2027-01-15T07:59:00.000Z","key":"k","size":3,"body":"a\u001bc"}"#
                    )
                ]),
            status: try row(status))
        #expect(
            model.texts.prefix(13).map { $0 } == [
                "queue 'jobs'", "ready 2  unacked 0  delayed 0", "in  1/s █", "out 0/s ▁", "", "why",
                "queue 'jobs' has 2 messages ready and no consumer", "", "oldest",
                "7  1m ago  k  3 B  a\\u{1b}c", "", "consumers", "w  holds 3 of 10, stands by  worker 1",
            ])
        #expect(model.pressed(.character("v")) == .refresh)
        #expect(model.view == .peek("jobs"))
        #expect(model.pressed(.escape) == .refresh)
        #expect(model.view == .queue("jobs"))
        model.type("?")
        #expect(model.texts[0] == "keys")
        _ = model.pressed(.escape)
        #expect(model.view == .queue("jobs"))
        model.vanished("no queue 'jobs'")
        #expect(model.view == .list && model.texts.last == "no queue 'jobs'")
    }

    @Test func `a pause is asked for before it is done`() throws {
        var model = try model([try queueRow("a", ready: 1), try queueRow("b", paused: true)])
        model.type("p")
        #expect(model.texts.last == "pause queue 'a'? [y/N]")
        #expect(model.pressed(.character("n")) == nil)
        #expect(model.texts.last == "not done")
        model.type("p")
        #expect(model.pressed(.character("y")) == .pause("a"))
        model.type("jp")
        #expect(model.pressed(.character("y")) == .resume("b"))
        #expect(model.texts.contains { $0.hasPrefix("b (paused)") })
        #expect(model.pressed(.character("q")) == .quit && model.pressed(.interrupt) == .quit)
        #expect(model.pressed(.control("d")) == .quit && model.pressed(.gone) == .quit)
    }

    @Test func `a server that is gone is told of, and what was known stays`() throws {
        var model = try model([try queueRow("jobs", ready: 2)])
        model.lost("trying again: no server answers")
        #expect(model.texts.contains("trying again: no server answers"))
        #expect(model.texts.contains { $0.hasPrefix("jobs ") })
        model.listed([try queueRow("jobs")], status: try row(status))
        #expect(!model.texts.contains("trying again: no server answers"))
    }

    @Test func `histories are kept of queues in which something moved`() throws {
        var model = try model([try queueRow("still"), try queueRow("busy", incoming: 1)])
        #expect(Set(model.histories.keys) == ["busy"])
        for _ in 0..<200 {
            model.listed([try queueRow("still"), try queueRow("busy")], status: try row(status))
        }
        #expect(model.histories.isEmpty)
    }
}

@Suite struct TopScreenTests {
    @Test func `a list on 80 columns`() throws {
        let model = try model(
            [try queueRow("jobs", ready: 1234, incoming: 20), try queueRow("two words")], rows: 8)
        #expect(
            model.texts
                == [
                    "leveret 1.2.3  127.0.0.1:5672  up 1m 5s",
                    "ready 9  in 3/s  out 0/s  unacked 0  delayed 0  memory 1 MiB  disk free 1 GiB",
                    "name                            ready▼  unacked  delayed  cons     in/s    out/s",
                    "jobs                             1,234        0        0     1       20        0",
                    "two words                            0        0        0     1        0        0",
                    "", "", "2 queues  ? help  q quit",
                ].map { $0.clipped(to: 80) })
    }

    @Test(arguments: [(20, 5), (1, 1), (2, 2), (8, 3), (300, 100), (40, 6)])
    func `any size has as many lines as it has, none too long`(columns: Int, rows: Int) throws {
        let queues = try (0..<30).map {
            try queueRow(String(repeating: "長", count: 10) + "\($0)", ready: $0, incoming: 1)
        }
        var model = try model(queues, columns: columns, rows: rows)
        func check(_ what: String) {
            let screen = model.screen
            #expect(screen.count == rows && screen.allSatisfy { $0.text.columns <= columns }, "\(what)")
        }
        check("list")
        model.lost("the server is gone and this is a long sentence about it")
        check("problem")
        for keys in ["?", "?", "v", "?"] {
            model.type(keys)
            check(keys)
        }
    }

    @Test func `where there are queues elsewhere, the list says that it is not of all`() throws {
        var model = try model([try queueRow("jobs")])
        model.listed([try queueRow("jobs")], status: try #require(JSON(#"{"queues":4}"#.utf8)))
        #expect(model.texts.last == "1 queue, 3 in other virtual hosts  ? help  q quit")
    }

    @Test func `20 by 5 cells show totals, a head, queues and what to press`() throws {
        let model = try model([try queueRow("jobs", ready: 1234)], columns: 20, rows: 5)
        #expect(
            model.texts == [
                "ready 9  in 3/s  ou…", "name          ready▼", "jobs           1,234", "",
                "1 queue  ? help  q …",
            ])
    }

    @Test func `sparklines are as high as what they show`() {
        #expect(TopModel.sparkline([], columns: 4) == "")
        #expect(TopModel.sparkline([0, 0], columns: 4) == "▁▁")
        #expect(TopModel.sparkline([1, .infinity, .nan], columns: 4) == "▁▁▁")
        #expect(TopModel.sparkline([9, 0, 1, 5, 10], columns: 4) == "▁▂▅█")
    }

    @Test func `text is cut between words, and words where they are too long`() {
        #expect(TopModel.wrap("one two three", columns: 8) == ["one two", "three"])
        #expect(TopModel.wrap("abcdefghij k", columns: 4) == ["abcd", "efgh", "ij k"])
        #expect(TopModel.wrap("", columns: 4) == [""])
        #expect(TopModel.wrap("長長", columns: 1) == ["長長"])
    }

    @Test func `only lines that changed are sent`() {
        let old = [TopLine("a"), TopLine("b", .bold), TopLine("c")]
        #expect(TopTerminal.changes(from: old, to: old) == "")
        let new = [TopLine("a"), TopLine("B", .bold), TopLine("c", .reversed)]
        #expect(
            TopTerminal.changes(from: old, to: new)
                == "\u{1B}[2;1H\u{1B}[K\u{1B}[1mB\u{1B}[0m\u{1B}[3;1H\u{1B}[K\u{1B}[7mc\u{1B}[0m")
        #expect(TopTerminal.changes(from: [], to: [TopLine("x")]) == "\u{1B}[1;1H\u{1B}[Kx\u{1B}[0m")
    }
}

@Suite struct TerminalKeyTests {
    @Test(
        arguments: [
            ("jq", [.character("j"), .character("q")]), ("\u{1B}[A\u{1B}OB", [.up, .down]),
            ("\u{1B}", [.escape]),
            ("\u{1B}[5~\u{1B}[6~", [.pageUp, .pageDown]),
            ("\u{1B}[H\u{1B}[4~\u{1B}[1~", [.home, .end, .home]),
            ("\r\n\u{7F}\u{8}\u{3}", [.enter, .enter, .backspace, .backspace, .interrupt]),
            ("ö長", [.character("ö"), .character("長")]),
            ("\u{1B}[C\u{1B}[D\u{1B}[1;5C\u{1B}[3~", [.right, .left, .right, .delete]),
            ("\u{1B}[<0;1", []), ("\u{1B}[2~", []), ("\u{0}\u{1F}", []),
            ("\u{1}\u{4}\u{12}\t", [.control("a"), .control("d"), .control("r"), .tab]),
        ] as [(String, [TerminalKey])])
    func `bytes are understood as keys`(bytes: String, keys: [TerminalKey]) {
        #expect(TerminalKey.decode(Array(bytes.utf8)) == keys)
    }

    @Test func `bytes that are nothing do no harm`() {
        #expect(TerminalKey.decode([0xFF, 0xC3]).count <= 2)
        #expect(TerminalKey.decode([]) == [])
    }
}
