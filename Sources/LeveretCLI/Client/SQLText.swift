// Values and conditions as SQL, for `where` and SQL requests. Every condition of the command line's own is put
// together here, so that no command thinks about quotes.

/// SQL as the server takes it.
enum SQLText {
    /// Text as a literal in single quotes.
    static func literal(_ text: String) -> String {
        "'" + text.split(separator: "'", omittingEmptySubsequences: false).joined(separator: "''") + "'"
    }

    /// All of these conditions together; `nil` where there is none.
    static func all(_ conditions: [String?]) -> String? {
        let terms = conditions.compactMap { $0 }
        guard terms.count > 1 else { return terms.first }
        // A condition may end in a comment.
        return terms.map { "(\($0)\n)" }.joined(separator: " AND ")
    }
}
