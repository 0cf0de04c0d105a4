// What `serve` writes into its log.

import Testing

@testable import LeveretCLI

@Suite struct LogTests {
    @Test(arguments: [
        ("plain, é and 🐇", "plain, é and 🐇"), ("a\nb\r\n", "a\\nb\\r\\n"), ("\u{1B}[2J", "\\u{1B}[2J"),
        ("a\u{2028}b\u{85}", "a\\u{2028}b\\u{0085}"), ("", ""),
    ])
    func `what a client made up stays on its line`(text: String, shown: String) {
        #expect(text.onOneLine == shown)
    }
}
