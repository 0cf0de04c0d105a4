// Every setting of `leveret serve`, in one table: its name, what values it takes, and its default. The command line,
// the environment, the configuration file and --print-config all go by it. To add one: a row here, an option in
// ServeCommand, a line in ServeSettings that uses it, and a row in docs/cli.md.

/// A setting: `max-line` in the file, `--max-line` on the command line, LEVERET_MAX_LINE in the environment.
struct SettingKey: Equatable {
    /// What it takes.
    enum Kind: Equatable {
        /// Any text, such as a path.
        case text
        /// A whole number.
        case number(ClosedRange<Int>)
        /// Bytes, with or without a unit.
        case size(ClosedRange<Int>)
        /// One of these words.
        case word([String])
        /// One or more texts.
        case list
        /// Permissions of a file, as four octal digits.
        case mode
    }

    let name: String
    let kind: Kind
    /// Its values where nobody sets it; none where it is then off.
    let standard: [String]
    /// What to write, where texts can be wrong: `write …`.
    private let advice: String

    private init(_ name: String, _ kind: Kind, _ standard: String?, advice: String = "a text") {
        self.name = name
        self.kind = kind
        self.standard = standard.map { [$0] } ?? []
        self.advice = advice
    }

    /// Its name in the environment.
    var variable: String {
        "LEVERET_" + String(name.map { $0 == "-" ? "_" : Character($0.uppercased()) })
    }

    /// Its name on the command line.
    var flag: String { "--" + name }

    /// What to write, for who has written something else.
    var allowed: String {
        switch kind {
        case .text, .list: advice
        case .number(let range): "a whole number from \(range.lowerBound) to \(range.upperBound)"
        case .size(let range):
            "bytes, or a size such as 500M or 5G, up to \(Quantity.bytes(range.upperBound))"
        case .word(let words): words.dropLast().joined(separator: ", ") + " or " + (words.last ?? "")
        case .mode: "permissions such as 0600 or 0660"
        }
    }

    // In the order in which --print-config shows them.
    static let db = SettingKey("db", .text, "leveret.db", advice: "the path of a file")
    static let listen = SettingKey(
        "listen", .list, "127.0.0.1:5672",
        advice: "host:port, such as 127.0.0.1:5672 or [::1]:0, tls://host:port or unix:path")
    static let unixMode = SettingKey("unix-mode", .mode, "0600")
    static let tlsCertificate = SettingKey("tls-certificate", .text, nil, advice: "the path of a file")
    static let tlsKey = SettingKey("tls-key", .text, nil, advice: "the path of a file")
    static let tlsClientCA = SettingKey("tls-client-ca", .text, nil, advice: "the path of a file")
    static let tlsClients = SettingKey("tls-clients", .word(["none", "optional", "required"]), "none")
    static let tlsMin = SettingKey("tls-min", .word(["1.2", "1.3"]), "1.2")
    static let localAuth = SettingKey("local-auth", .word(["none", "required"]), "none")
    static let allowPlainAuth = SettingKey("allow-plain-auth", .word(["no", "yes"]), "no")
    static let durability = SettingKey("durability", .word(["full", "normal"]), "full")
    static let maxConnections = SettingKey("max-connections", .number(1...1_000_000), "10000")
    static let maxLine = SettingKey("max-line", .number(512...1 << 20), "8192")
    static let maxBody = SettingKey("max-body", .number(0...128 << 20), "134217728")
    static let stalled = SettingKey("stalled", .number(1...86_400), "60")
    static let drain = SettingKey("drain", .number(0...86_400), "10")
    static let diskFreeMin = SettingKey("disk-free-min", .size(0...1 << 50), "52428800")
    static let memoryMax = SettingKey("memory-max", .size(0...1 << 50), "0")
    static let logLevel = SettingKey(
        "log-level", .word(["trace", "debug", "info", "notice", "warning", "error", "critical"]), "info")

    /// All of them.
    static let all = [
        db, listen, unixMode, tlsCertificate, tlsKey, tlsClientCA, tlsClients, tlsMin, localAuth,
        allowPlainAuth, durability,
        maxConnections,
        maxLine, maxBody, stalled, drain, diskFreeMin, memoryMax, logLevel,
    ]

    /// The setting that has the name most like this one.
    static func nearest(to name: String) -> SettingKey {
        all.min { distance($0.name, name) < distance($1.name, name) } ?? db
    }

    /// How many letters must be changed, added or left out to make one word the other (Levenshtein). Of a long word
    /// the beginning counts.
    private static func distance(_ a: String, _ b: String) -> Int {
        let b = Array(b.prefix(64).lowercased().map { $0 == "_" ? "-" : $0 })
        var row = Array(0...b.count)
        for (index, letter) in a.enumerated() {
            var diagonal = row[0]
            row[0] = index + 1
            for column in b.indices {
                let changed = diagonal + (b[column] == letter ? 0 : 1)
                diagonal = row[column + 1]
                row[column + 1] = min(changed, diagonal + 1, row[column] + 1)
            }
        }
        return row[b.count]
    }
}
