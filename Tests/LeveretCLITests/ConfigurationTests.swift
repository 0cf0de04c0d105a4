// The settings of `serve`: where they come from, what is refused and in which words, and that --print-config can be
// given back.

import ArgumentParser
import Foundation
import LeveretTestSupport
import Testing

@testable import LeveretCLI

@Suite struct ConfigurationTests {
    private static func file(_ text: String) throws(Failure) -> SettingsFile {
        try SettingsFile(Array(text.utf8), path: "leveret.yaml")
    }

    private static func value(
        _ key: SettingKey, flags: [String: [String]] = [:], environment: [String: String] = [:],
        file: String = ""
    ) throws -> SettingValue {
        SettingValue(key, flags: flags, environment: { environment[$0] }, file: try Self.file(file))
    }

    @Test func `the command line wins over the environment, that over the file, that over the default`()
        throws
    {
        let flags = ["stalled": ["1"]]
        let environment = ["LEVERET_STALLED": "2"]
        let file = "db: x.db\nstalled: 3\n"
        let first = try Self.value(.stalled, flags: flags, environment: environment, file: file)
        #expect(try first.number == 1 && first.source == "--stalled")
        let second = try Self.value(.stalled, environment: environment, file: file)
        #expect(try second.number == 2 && second.source == "LEVERET_STALLED")
        let third = try Self.value(.stalled, file: file)
        #expect(try third.number == 3 && third.source == "leveret.yaml line 2")
        let fourth = try Self.value(.stalled)
        #expect(try fourth.number == 60 && fourth.source == "default")
    }

    @Test func `a size has a unit or is bytes`() throws {
        #expect(try Self.value(.diskFreeMin, file: "disk-free-min: 5G").number == 5 << 30)
        #expect(try Self.value(.memoryMax, flags: ["memory-max": ["1024"]]).number == 1024)
        for wrong in ["5X", "2000T", "-1"] {
            #expect(throws: Failure.self) {
                try Self.value(.memoryMax, flags: ["memory-max": [wrong]]).number
            }
        }
    }

    @Test func `a list is written as one, as a word, or with commas outside the file`() throws {
        #expect(try Self.value(.listen, file: "listen: [a:1, 'unix:b,c']").texts == ["a:1", "unix:b,c"])
        #expect(try Self.value(.listen, file: "listen: a:1").texts == ["a:1"])
        #expect(try Self.value(.listen, environment: ["LEVERET_LISTEN": "a:1,b:2"]).texts == ["a:1", "b:2"])
        #expect(try Self.value(.listen, flags: ["listen": ["a:1", "b:2"]]).texts == ["a:1", "b:2"])
    }

    @Test(arguments: [
        ("stalld: 5", "line 1: there is no setting 'stalld'; did you mean 'stalled'?"),
        ("db: x\nMax_Line: 5", "line 2: there is no setting 'Max_Line'; did you mean 'max-line'?"),
        ("stalled: [1, 2]", "line 1: stalled is a list; write a whole number from 1 to 86400"),
        ("db: x\n\ndrain:\n  a: 1", "line 4: drain is a mapping; write a whole number from 0 to 86400"),
        ("durability:", "line 1: durability has no value; write full or normal, or leave the line out"),
        ("listen: []", "line 1: listen is an empty list; write host:port"),
        ("listen: [[a]]", "line 1: an item of listen is no text; write host:port"),
        ("- db", "line 1: this is no mapping; write 'name: value'"),
        ("just text", "line 1: this is no mapping"),
        ("[a]: b", "line 1: the name of a setting is no text"),
        ("db: x\ndrain: 1\ndb: y", "line 3: 'db' is set twice"),
        ("db: 'x\n", "line 2: found unexpected end of stream; write it as YAML"),
        ("db: x\n\tdrain: 1", "line 2: found"),
        ("db: x\n---\ndrain: 1", "line 3: a second document begins"),
        ("db: \u{1}", "line 1: control characters are not allowed"),
        (String(repeating: "[", count: 60_000), "line 1: this is nested too deep"),
        (String(repeating: "{a: ", count: 15_000), "line 1: this is nested too deep"),
        ("db: x\ndrain:\n" + String(repeating: "- ", count: 30_000), "line 3: this is nested too deep"),
    ])
    func `what a file can't say is refused with its line`(text: String, words: String) {
        let failure = #expect(throws: Failure.self) { try Self.file(text) }
        #expect(failure?.status == .usage)
        #expect(failure?.text.contains("leveret.yaml, \(words)") == true, "\(failure?.text ?? "")")
    }

    @Test(arguments: ["", "# nothing\n", "---\n", "--- {}\n", "{}\n"])
    func `a file may set nothing`(text: String) throws {
        #expect(try Self.file(text).values.isEmpty)
    }

    @Test func `bytes that are no text are refused`() {
        #expect(throws: Failure.self) { try SettingsFile([0x64, 0x62, 0x3A, 0x20, 0xFF, 0xFE], path: "x") }
        #expect(throws: Failure.self) {
            try SettingsFile([UInt8](repeating: 0x20, count: 2 << 20), path: "x")
        }
    }

    @Test func `what has no end is no file of settings`() throws {
        let endless = #expect(throws: Failure.self) { try SettingsFile(path: "/dev/zero") }
        #expect(endless?.text == "/dev/zero is no configuration: it is longer than 65536 bytes")
        let folder = try TemporaryFolder()
        let pipe = folder.path("pipe")
        #expect(mkfifo(pipe, 0o600) == 0)
        let failure = #expect(throws: Failure.self) { try SettingsFile(path: pipe) }
        #expect(failure?.text == "'\(pipe)' is a pipe or a socket; name a file")
    }

    @Test(arguments: [
        ("stalled", "0"), ("stalled", "1.5"), ("stalled", "86401"), ("stalled", "sixty"), ("max-line", "511"),
        ("durability", "Full"), ("tls-min", "1.1"), ("tls-clients", "yes"), ("unix-mode", "rw"),
        ("unix-mode", "1777"),
        ("unix-mode", "+7"), ("log-level", "loud"), ("listen", "nowhere"), ("db", ""),
    ])
    func `a wrong value is refused with its place and what is allowed`(name: String, text: String) throws {
        let key = try #require(SettingKey.all.first { $0.name == name })
        let byFlag = #expect(throws: Failure.self) { try ServeSettings(flags: [name: [text]]) { _ in nil } }
        #expect(byFlag?.text == "'\(text)' is no value for --\(name); write \(key.allowed)")
        let byVariable = #expect(throws: Failure.self) {
            try ServeSettings(flags: [:]) { $0 == key.variable ? text : nil }
        }
        #expect(byVariable?.text == "'\(text)' is no value for \(key.variable); write \(key.allowed)")
        guard !text.isEmpty else { return }
        let file = try Self.file("\(name): '\(text)'")
        let inFile = SettingValue(key, flags: [:], environment: { _ in nil }, file: file)
        #expect(inFile.wrong(text).text.contains("\(name) (leveret.yaml, line 1)"))
    }

    @Test(arguments: [
        (["tls-certificate": ["a"]], "set tls-key too"), (["tls-key": ["a"]], "set tls-certificate too"),
        (["tls-clients": ["required"]], "set tls-certificate and tls-key"),
    ])
    func `half of a pair is refused`(flags: [String: [String]], words: String) {
        let failure = #expect(throws: Failure.self) { try ServeSettings(flags: flags) { _ in nil } }
        #expect(failure?.text.contains(words) == true)
    }

    @Test func `what is printed reads back as it was`() throws {
        let flags: [String: [String]] = [
            "db": ["a \"b\" # c: \\d\u{7}.db"], "listen": ["[::1]:5672", "unix:/run/x y"], "stalled": ["7"],
            "tls-certificate": ["-cert"], "tls-key": ["null"],
        ]
        let settings = try ServeSettings(flags: flags) { $0 == "LEVERET_DRAIN" ? "3" : nil }
        let printed = settings.yaml
        #expect(printed.contains("stalled: 7  # --stalled\n"))
        #expect(printed.contains("drain: 3  # LEVERET_DRAIN\n"))
        #expect(printed.contains("durability: full  # default\n"))
        #expect(printed.contains("# tls-client-ca: not set\n"))
        let file = try Self.file(printed)
        for value in settings.values {
            #expect(file.values[value.key.name]?.texts ?? [] == value.texts, "\(value.key.name)")
        }
    }

    @Test func `every setting has an option, and every option is a setting`() {
        let help = ServeCommand.helpMessage(columns: 200)
        for key in SettingKey.all { #expect(help.contains("\(key.flag) <"), "\(key.flag)") }
        let named = help.matches(of: /--([a-z-]+)/).map { String($0.1) }
        let others: Set<String> = ["config", "print-config", "version", "help"]
        for name in named where !others.contains(name) {
            #expect(SettingKey.all.contains { $0.name == name }, "\(name)")
        }
    }

    @Test func `a setting that waits for a restart is named, one that doesn't is not`() throws {
        let before = try ServeSettings(flags: [:]) { _ in nil }
        let after = try ServeSettings(flags: ["stalled": ["5"], "log-level": ["debug"]]) { _ in nil }
        #expect(after.needingRestart(since: before) == ["stalled"])
        let pair = ["tls-certificate": ["a"], "tls-key": ["b"]]
        let plain = try ServeSettings(flags: [:]) { _ in nil }
        let ciphered = try ServeSettings(flags: pair) { _ in nil }
        let renewed = try ServeSettings(flags: pair.merging(["tls-min": ["1.3"]]) { $1 }) { _ in nil }
        #expect(renewed.needingRestart(since: ciphered) == [])
        #expect(ciphered.needingRestart(since: plain) == ["tls-certificate", "tls-key"])
        #expect(plain.needingRestart(since: renewed) == ["tls-certificate", "tls-key", "tls-min"])
    }
}
