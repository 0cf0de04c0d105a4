// What a run of publishes, or of imports, says at its end: what is stored, what was refused, and what nobody knows,
// so that the rest can be sent without a guess.

/// Says how a run of publishes went.
struct PublishReport {
    private let totals: PublishTotals
    private let isLines: Bool
    private let isOne: Bool
    private let verb: String

    /// A report of these totals; `isLines` where each line was a message, `isOne` where there was one message.
    /// `verb` is what was done to them.
    init(_ totals: PublishTotals, isLines: Bool, isOne: Bool, verb: String = "published") {
        self.totals = totals
        self.isLines = isLines
        self.isOne = isOne
        self.verb = verb
    }

    private var unit: String { isLines ? "line" : "message" }
    private var published: String { "\(counted(totals.confirmed, "message")) \(verb)" }

    /// Prints the counts, or fails with them and what ended the run early.
    func finish(_ problem: Failure?, seconds: Double) throws(Failure) {
        if let refusal = totals.refusal { throw refused(Failure(refusal), then: problem) }
        if let problem {
            let before = totals.confirmed == 0 ? "nothing was \(verb)" : "\(published) before it"
            throw Failure(problem.status, "\(problem.text); \(before)\(unanswered)")
        }
        if Interrupt.hasCome {
            Terminal.complain(
                "leveret: interrupted; \(published)\(isLines ? ", one a line from the first" : "")")
            Interrupt.end()
        }
        let rate = Quantity.count(Int(Double(totals.confirmed) / max(seconds, 0.001)))
        let isMany = totals.confirmed > 1
        announce(isMany ? "\(published) in \(Quantity.seconds(seconds)), \(rate)/s" : published)
        if totals.unroutable > 0 {
            let which = isMany ? "\(Quantity.count(totals.unroutable)) of them" : "it"
            let advice = "see 'leveret route', or use --mandatory"
            Terminal.complain("leveret: no queue took \(which): nothing is bound that matches; \(advice)")
        }
    }

    /// The first refusal, and enough to go on from there.
    private func refused(_ failure: Failure, then problem: Failure?) -> Failure {
        if isOne { return Failure(failure.status, "\(failure.text); nothing was \(verb)") }
        let first = totals.refused.first?.lowerBound ?? 1
        var text = "\(unit) \(first): \(failure.text); \(published)"
        let isMany = totals.refusedCount > 1
        text +=
            ", \(Quantity.count(totals.refusedCount)) refused: \(unit)\(isMany ? "s" : "") \(totals.refusedNumbers)"
        text += unanswered
        text += "; no \(unit) after \(totals.sent) was sent"
        if let problem { text += "; then \(problem.text)" }
        return Failure(failure.status, text)
    }

    private var unanswered: String {
        let count = totals.unanswered
        if count == 0 { return "" }
        return ", \(Quantity.count(count)) more sent but not answered, which may be stored"
            + (isLines
                ? ": \(count == 1 ? "line" : "lines \(totals.sent - count + 1) to") \(totals.sent)" : "")
    }
}
