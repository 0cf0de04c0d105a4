// What a program says, beside what a page says that it says.

/// Text of pages in which `…` stands for whatever differs from run to run.
package enum Transcript {
    /// True where the text is what the pattern has.
    package static func agrees(_ text: some StringProtocol, with pattern: some StringProtocol) -> Bool {
        let parts = String(pattern).split(separator: "…", omittingEmptySubsequences: false)
        guard let first = parts.first, let last = parts.last, parts.count > 1 else { return text == pattern }
        guard text.hasPrefix(first) else { return false }
        var rest = String(text)[...].dropFirst(first.count)
        for part in parts.dropFirst().dropLast() {
            guard part.isEmpty || rest.contains(part) else { return false }
            if let found = rest.firstRange(of: part) { rest = rest[found.upperBound...] }
        }
        return rest.hasSuffix(last)
    }

    /// The first line in which a text differs from a page, as a sentence; `nil` where none does.
    package static func difference(of text: String, from page: String) -> String? {
        let said = text.split(separator: "\n", omittingEmptySubsequences: false)
        let lines = page.split(separator: "\n", omittingEmptySubsequences: false)
        for index in 0..<max(said.count, lines.count) {
            let here = index < said.count ? said[index] : "(nothing)"
            let there = index < lines.count ? lines[index] : "(nothing)"
            if !agrees(here, with: there) {
                return "line \(index + 1) is\n\(here)\nand the page has\n\(there)"
            }
        }
        return nil
    }
}
