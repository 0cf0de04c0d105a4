// `leveret doctor`: what will hurt later, found on the live broker.

import ArgumentParser

struct DoctorCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "doctor",
        abstract: "Look for what is wrong, or will hurt, and say what to do.",
        discussion: """
            Each finding says what is wrong and what to do. It looks at all virtual hosts, unless --vhost or the URL \
            names one: queue 'x' in 'shop' is called 'shop/x'. The exit status is 1 where one is a warning or worse.

            Examples:
              leveret doctor
              leveret doctor -o json --columns severity,rule,subject
              leveret doctor --db leveret.db
            """
    )

    @OptionGroup var source: SourceOptions
    @OptionGroup var output: OutputOptions

    func run() throws {
        var printer = try output.printer(of: Columns.doctor)
        let facts = try DoctorFacts.gather(
            from: try source.openAnywhere(), of: try source.virtualHost, isLive: source.db == nil)
        let findings = DoctorRules.findings(in: facts)
        if output.output == .table, output.columns == nil {
            let colour = Terminal.hasColour(Terminal.standardOutput)
            announce(findings.isEmpty ? "nothing was found" : Self.report(findings, colour: colour))
        } else {
            for finding in findings { printer.print(finding.row) }
            printer.finish(none: "nothing was found")
        }
        if findings.contains(where: { $0.severity > .info }) { throw Failure(.refused) }
    }

    /// For a person: what is wrong, and below it what to do.
    static func report(_ findings: [DoctorFinding], colour: Bool) -> String {
        findings.map { finding in
            let word = finding.severity.rawValue.padded(to: 8, right: false)
            let shown = colour && finding.severity > .info ? "\u{1B}[1m\(word)\u{1B}[0m" : word
            return "\(shown)  \(finding.subject): \(finding.text)\n          \(finding.advice)"
        }.joined(separator: "\n")
    }
}
