// Holds every Swift file of the repository against the rules.

import Testing

@Suite struct StyleTests {
    private static let code = Repository.swiftFiles(
        in: "Sources", "Tests", "examples", "Benchmarks", "FuzzTesting")

    @Test(arguments: [
        Rule.size, .functions, .banned, .tasks, .unchecked, .sleeping, .opening, .cases,
    ])
    func `every file keeps the rule`(rule: Rule) {
        #expect(Self.code.count > 100)
        for file in Self.code {
            for complaint in rule.complaints(file) { Issue.record("\(complaint)") }
        }
    }
}
