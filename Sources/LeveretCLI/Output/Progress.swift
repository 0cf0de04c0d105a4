// A line on standard error that shows how far a long command has come. It shows nothing where nobody looks.

/// Progress by messages, and by bytes where the end is known.
struct Progress {
    private let bytesTotal: Int?
    private let isShown: Bool
    private let began = ContinuousClock.now
    private var shown = ContinuousClock.now

    /// Progress towards `bytesTotal`, where that is known.
    init(bytesTotal: Int?, isShown: Bool = Terminal.isTerminal(Terminal.standardError)) {
        self.bytesTotal = bytesTotal
        self.isShown = isShown
    }

    /// Seconds since the beginning.
    var seconds: Double {
        let passed = began.duration(to: .now).components
        return Double(passed.seconds) + Double(passed.attoseconds) / 1e18
    }

    /// Shows where things stand, ten times a second at most.
    mutating func update(messages: Int, bytes: Int) {
        let total = bytesTotal
        show { Self.line(messages: messages, bytes: bytes, of: total, seconds: $0) }
    }

    /// The same, where bytes are all that counts.
    mutating func update(bytes: Int, of total: Int) {
        show { Self.line(Quantity.bytes(bytes), bytes: bytes, of: total, seconds: $0) }
    }

    private mutating func show(_ line: (_ seconds: Double) -> String) {
        guard isShown, shown.duration(to: .now) >= .milliseconds(100) else { return }
        shown = .now
        Terminal.write("\r\u{1B}[K\(line(seconds))".utf8, to: Terminal.standardError)
    }

    /// Wipes the line.
    func clear() {
        if isShown { Terminal.write("\r\u{1B}[K".utf8, to: Terminal.standardError) }
    }

    /// `[########------------]  40%  120,000 messages  240,000/s  1s left`, or without the bar.
    static func line(messages: Int, bytes: Int, of bytesTotal: Int?, seconds: Double) -> String {
        let rate = seconds > 0 ? Quantity.count(Int(Double(messages) / seconds)) : "0"
        let counts = "\(counted(messages, "message"))  \(rate)/s"
        return line(counts, bytes: bytes, of: bytesTotal, seconds: seconds)
    }

    private static func line(_ counts: String, bytes: Int, of bytesTotal: Int?, seconds: Double) -> String {
        guard let bytesTotal, bytesTotal > 0 else { return counts }
        let part = min(1, Double(bytes) / Double(bytesTotal))
        let bar = String(repeating: "#", count: Int(part * 20)).padded(to: 20, right: false)
        let left = part > 0 ? Int((seconds * (1 - part) / part).rounded(.up)) : 0
        let percent = "\(Int(part * 100))%".padded(to: 4, right: true)
        return "[\(bar)] \(percent)  \(counts)  \(Quantity.duration(seconds: left)) left"
    }
}
