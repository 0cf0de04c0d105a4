// Rendering: tables, JSON, CSV, bodies and numbers, as exact text. The field names here are a promise.

import ArgumentParser
import Foundation
import Testing

@testable import LeveretCLI

private let now: Int64 = 1_800_000_000_000

private func render(
    _ columns: [Column],
    _ rows: [String],
    _ format: OutputFormat,
    chosen: [String]? = nil,
    colour: Bool = false,
    isForTerminal: Bool = false,
    width: Int? = nil
) throws -> String {
    let output = Output(nil)
    var printer = try RowPrinter(
        columns,
        chosen: chosen,
        format: format,
        to: output,
        colour: colour,
        isForTerminal: isForTerminal,
        width: width,
        now: now
    )
    for row in rows { printer.print(try #require(JSON(row.utf8))) }
    printer.finish(none: "there is nothing")
    return String(decoding: output.gathered, as: UTF8.self)
}

private let queues = [
    #"{"name":"jobs","ready":1234567,"unacked":0,"delayed":7,"consumers":2,"in_rate":1250.4,"out_rate":0.5,"#
        + #""oldest":"2027-01-15T07:58:20.000Z","dead_letter_exchange":"","arguments":{"x-max-length":5}}"#,
    #"{"name":"a\u001b[31m","ready":0,"unacked":10,"delayed":0,"consumers":0,"in_rate":0.0,"out_rate":0.0,"oldest":null,"#
        + #""dead_letter_exchange":null,"arguments":{}}"#,
]

@Suite struct RowPrinterTests {
    @Test func `positions have no separators, sizes have units, and what is over is named so`() throws {
        func cell(_ name: String, of columns: [Column], _ json: String) throws -> String {
            let column = try #require(columns.first { $0.name == name })
            return column.cell(JSON(json.utf8), now: now)
        }
        #expect(try cell("position", of: Columns.peek, "1927") == "1927")
        #expect(try cell("id", of: Columns.connections, "1927") == "1927")
        #expect(try cell("ready", of: Columns.queues, "1927") == "1,927")
        #expect(
            try cell("limits", of: Columns.status, #"{"connections":10000,"body_bytes":134217728}"#)
                == "connections 10000, body_bytes 128 MiB")
        #expect(try cell("parked", of: Columns.status, "1927") == "1,927 since the start")
    }

    @Test func `a table lines its columns up, numbers to the right`() throws {
        #expect(
            try render(Columns.queues, queues, .table) == """
                name             ready  unacked  delayed  consumers  in_rate  out_rate  oldest      dead_letter_exchange
                jobs         1,234,567        0        7          2    1,250       0.5  1m 40s ago  ""
                a\\u{1b}[31m          0       10        0          0        0         0  -           -

                """
        )
    }

    @Test func `a terminal gets a bold header and lines that fit`() throws {
        let text = try render(
            Columns.queues,
            queues,
            .table,
            chosen: ["name", "ready"],
            colour: true,
            width: 8
        )
        #expect(text == "\u{1B}[1mname   …\u{1B}[0m\njobs   …\na\\u{1b}…\n")
    }

    @Test func `JSON gives a row as it came, or the columns asked for in their order`() throws {
        #expect(try render(Columns.queues, [queues[0]], .json) == queues[0] + "\n")
        #expect(
            try render(Columns.queues, queues, .json, chosen: ["ready", "name"])
                == "{\"ready\":1234567,\"name\":\"jobs\"}\n{\"ready\":0,\"name\":\"a\\u001b[31m\"}\n"
        )
    }

    @Test func `CSV has a header and quotes what needs it`() throws {
        #expect(
            try render(Columns.queues, queues, .csv, chosen: ["name", "oldest", "arguments"])
                == "name,oldest,arguments\njobs,2027-01-15T07:58:20.000Z,\"{\"\"x-max-length\"\":5}\"\na\u{1B}[31m,,{}\n"
        )
        #expect(try render(Columns.routes, [], .csv, chosen: ["source", "pattern"]) == "source,pattern\n")
    }

    @Test func `CSV steers no terminal, and a file has every byte`() throws {
        let rows = ["{\"name\":\"a\u{9B}31m\\u001b[31m\u{202E}\"}"]
        #expect(
            try render(Columns.queues, rows, .csv, chosen: ["name"], isForTerminal: true)
                == "name\na\\u{9b}31m\\u{1b}[31m\\u{202e}\n")
        #expect(
            try render(Columns.queues, rows, .csv, chosen: ["name"]) == "name\na\u{9B}31m\u{1B}[31m\u{202E}\n"
        )
        #expect(try render(Columns.queues, rows, .json) == "{\"name\":\"a\\u009b31m\\u001b[31m\\u202e\"}\n")
    }

    @Test func `output that nobody reads stays so`() {
        _ = signal(SIGPIPE, SIG_IGN)
        var ends: [CInt] = [-1, -1]
        #expect(pipe(&ends) == 0)
        close(ends[0])
        defer { close(ends[1]) }
        let output = Output(ends[1])
        // So much that it goes out at once.
        output.write(String(repeating: "x", count: 100_000))
        #expect(!output.flush())
        output.write("x")
        #expect(!output.flush() && output.gathered.isEmpty)
    }

    @Test func `nothing is a sentence in a table and nothing in JSON`() throws {
        #expect(try render(Columns.queues, [], .table) == "there is nothing\n")
        #expect(try render(Columns.queues, [], .json) == "")
    }

    @Test func `an unknown column is a usage error that lists the known ones`() {
        let failure = #expect(throws: Failure.self) {
            try render(Columns.routes, [], .json, chosen: ["sauce"])
        }
        #expect(
            failure
                == Failure(
                    .usage,
                    "there is no column 'sauce'; the columns are source, destination, destination_type, reason, "
                        + "pattern, arguments"
                )
        )
    }

    @Test func `a long table streams once its widths are known`() throws {
        let output = Output(nil)
        var printer = try RowPrinter(Columns.queues, chosen: ["name"], format: .table, to: output, now: now)
        for number in 1...99 { printer.print(.object([.init(name: "name", value: .int(number))])) }
        #expect(output.gathered.isEmpty)
        printer.print(.object([.init(name: "name", value: .int(100))]))
        #expect(output.gathered.split(separator: .lineFeed).count == 101)
        printer.print(.object([.init(name: "name", value: .int(101))]))
        #expect(output.gathered.split(separator: .lineFeed).count == 102)
    }

    @Test func `facts stand below each other, and what is missing is left out`() throws {
        let row = try #require(
            JSON(
                #"{"version":"1","uptime":90061000,"resident_bytes":1536,"dead":{"expired":3,"rejected":0},"alarms":[]}"#
                    .utf8
            )
        )
        let columns = try Column.choose(nil, of: Columns.status, all: false)
        #expect(
            FactSheet.text(row, columns: columns, now: now) == """
                version         1
                uptime          1d 1h
                resident_bytes  1.5 KiB
                dead            expired 3
                alarms          -

                """
        )
    }

    @Test func `rows sort by number from the largest and by text from A`() {
        let rows = [3, 10, 2].map { JSON.object([.init(name: "n", value: .int($0))]) }
        #expect(
            QueuesCommand.order(rows + [.object([])], by: "n").map(\.compact) == [
                #"{"n":10}"#, #"{"n":3}"#, #"{"n":2}"#, "{}",
            ]
        )
        let names = ["b", "a"].map { JSON.object([.init(name: "s", value: .string($0))]) }
        #expect(QueuesCommand.order(names, by: "s").map(\.compact) == [#"{"s":"a"}"#, #"{"s":"b"}"#])
    }

    @Test func `the names of columns are a promise`() {
        #expect(
            Columns.queues.map(\.name).joined(separator: " ")
                == "name ready unacked delayed consumers in_rate out_rate oldest ready_bytes in_memory published "
                + "delivered acked returned return_rate dead durable exclusive auto_delete dead_letter_exchange dead_letter_key arguments "
                + "paused_since deduplicated policy operator_policy effective origins"
        )
        #expect(
            Columns.peek.map(\.name).joined(separator: " ")
                == "position version state exchange key priority entered expires due deliveries failed size headers "
                + "properties held_by held_since origin reason error deaths place body body64"
        )
        #expect(
            Columns.get.map(\.name).joined(separator: " ")
                == "position exchange key redelivered deliveries size headers properties body body64"
        )
        #expect(
            Columns.status.map(\.name).joined(separator: " ")
                == "version uptime started now database database_id database_bytes disk_free_bytes resident_bytes message_bytes queues exchanges "
                + "connections consumers ready unacked delayed published delivered acked unroutable dead parked "
                + "in_rate out_rate deduplicated logins_refused limits log_level alarms"
        )
    }
}

@Suite struct MessagePrinterTests {
    private static let text = #"{"position":7,"key":"k","size":7,"body":"{\"a\":1}"}"#
    private static let bytes = #"{"position":8,"key":"k","size":2,"body64":"AP8="}"#

    private func render(_ rows: [String], _ arguments: [String], body: BodyFormat?) throws -> String {
        let output = Output(nil)
        let options = try OutputOptions.parse(arguments)
        var printer = try MessagePrinter(options, body: body, columns: Columns.peek, to: output)
        for row in rows { printer.print(try #require(JSON(row.utf8))) }
        printer.finish(none: "nothing")
        return String(decoding: output.gathered, as: UTF8.self)
    }

    @Test func `text is shown as it is and bytes in hexadecimal`() throws {
        #expect(
            try render([Self.text, Self.bytes], ["--columns", "position,body"], body: nil) == """
                position  body
                       7  {"a":1}
                       8  0x00ff

                """
        )
    }

    @Test func `JSON bodies can be indented below their message`() throws {
        #expect(
            try render([Self.text], ["--columns", "position,key"], body: .json)
                == "position 7  key k\n{\n  \"a\": 1\n}\n"
        )
    }

    @Test func `bodies can be dumped`() throws {
        let dump = "00000000  00 ff                                            |..|\n"
        #expect(try render([Self.bytes], ["--columns", "position"], body: .hex) == "position 8\n" + dump)
    }

    @Test func `raw bodies come alone`() throws {
        #expect(try render([Self.text, Self.text], [], body: .raw) == "{\"a\":1}\n{\"a\":1}\n")
        #expect(try render([], [], body: .raw) == "")
        #expect(throws: Failure.self) { try render([], ["-o", "json"], body: .raw) }
    }

    @Test func `in JSON a body can be JSON itself`() throws {
        #expect(
            try render([Self.text], ["-o", "json", "--columns", "body"], body: .json)
                == "{\"body\":{\"a\":1}}\n"
        )
        #expect(
            try render([Self.bytes], ["-o", "json", "--columns", "body"], body: .hex)
                == "{\"body\":\"00ff\"}\n"
        )
        #expect(try render([Self.bytes], ["-o", "json"], body: nil) == Self.bytes + "\n")
    }
}

@Suite struct QuantityTests {
    @Test(arguments: [(0, "0"), (999, "999"), (1000, "1,000"), (-1_234_567, "-1,234,567")])
    func `counts have separators`(number: Int, text: String) { #expect(Quantity.count(number) == text) }

    @Test(arguments: [
        (0, "0 B"), (1023, "1023 B"), (1024, "1 KiB"), (1536, "1.5 KiB"), (10 << 20, "10 MiB"),
        (Int.max, "8,388,608 TiB"),
    ])
    func `bytes have units`(number: Int, text: String) { #expect(Quantity.bytes(number) == text) }

    @Test(arguments: [
        (0, "0"), (0.44, "0.4"), (9.96, "10"), (1250, "1,250"), (1e300, "-"), (-1e300, "-"), (.nan, "-"),
    ])
    func `rates are short, and what can't be one is left out`(rate: Double, text: String) {
        #expect(Quantity.rate(rate) == text)
    }

    @Test(arguments: [
        (0, "now"), (999, "now"), (12_000, "12s ago"), (-20_000, "in 20s"), (3_900_000, "1h 5m ago"),
        (3_600_000, "1h ago"), (90_000_000, "1d 1h ago"),
    ])
    func `ages are short`(milliseconds: Int64, text: String) {
        #expect(Quantity.age(milliseconds: milliseconds) == text)
    }

    @Test func `times are read to the millisecond`() {
        #expect(Time.milliseconds("1970-01-01T00:00:00.000Z") == 0)
        #expect(Time.milliseconds("2027-01-15T08:00:00.007Z") == now + 7)
        #expect(Time.milliseconds("2024-02-29T23:59:59.999Z") == 1_709_251_199_999)
        #expect(Time.milliseconds("yesterday") == nil)
    }

    @Test func `progress has a bar where the end is known`() {
        #expect(
            Progress.line(messages: 120_000, bytes: 40, of: 100, seconds: 0.5)
                == "[########            ]  40%  120,000 messages  240,000/s  1s left"
        )
        #expect(Progress.line(messages: 1, bytes: 9, of: nil, seconds: 0) == "1 message  0/s")
        #expect(
            Progress.line(messages: 5, bytes: 9, of: 9, seconds: 1).hasPrefix("[####################] 100%")
        )
    }

    @Test func `wide characters count double and long text is clipped`() {
        #expect("日本".columns == 4)
        #expect("日本語".clipped(to: 5) == "日本…")
        #expect("abc".clipped(to: 3) == "abc")
        #expect("a\tb\u{202E}".printable == "a\\tb\\u{202e}")
    }
}
