// What the worker tells whoever kills it: a line on standard output for each thing that has happened, written with one
// write(2). A pipe keeps what was written to it when the writer dies, so the last line before a kill is never lost.
// JobLedger, in Tests/LeveretTasksCrashTests, says what each line means.

import Foundation

/// The journal on standard output.
struct Journal: Sendable {
    /// Writes a line of these words.
    func say(_ words: String...) {
        let line = Array((words.joined(separator: " ") + "\n").utf8)
        // Whoever reads has gone: there is nobody to tell.
        guard write(1, line, line.count) == line.count else { exit(1) }
    }
}
