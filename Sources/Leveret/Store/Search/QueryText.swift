// A look at what somebody else has written before SQLite compiles it. SQLite asks nobody while it compiles, and
// unfolds a query into as many copies as it refers to what stands in it: a few lines can take hours and all memory.
// So the unfolded size is estimated here, from above, by words and parentheses alone.

/// The words of an SQL text, as far as they tell how it nests.
struct QueryText {
    /// A word or mark, and the byte where it begins.
    private struct Token {
        enum Kind { case word, quoted, open, close, star }
        var kind: Kind
        var text: String
        var offset: Int
    }

    /// The first word that begins a query, in lower case, and the byte where it stands.
    private(set) var firstQueryWord: (word: String, offset: Int)?
    /// Where the first WITH stands.
    private(set) var firstWith: Int?
    /// The first name that SQLite knows in a condition and nobody should, in lower case, and the byte where it stands.
    private(set) var firstHiddenName: (name: String, offset: Int)?
    /// No fewer expressions than SQLite makes of it: the product, over the levels at which queries stand in each
    /// other, of the names at each.
    private(set) var unfoldedMax = 1

    init(_ text: String) {
        let tokens = Self.tokens(of: Array(text.utf8))
        var names: [Int] = [0]
        /// For each open parenthesis, whether a query stands in it.
        var isQuery: [Bool] = []
        var depth = 0
        for (index, token) in tokens.enumerated() {
            switch token.kind {
            case .word, .quoted, .star: names[depth] += 1
            case .open:
                let next = index + 1 < tokens.count ? tokens[index + 1] : nil
                let begins = next.map { $0.kind == .word && Self.queryWords.contains($0.text) } ?? false
                isQuery.append(begins)
                if begins { depth += 1 }
                if depth == names.count { names.append(0) }
            case .close: if isQuery.popLast() == true { depth -= 1 }
            }
            if firstHiddenName == nil, Self.hiddenNames.contains(token.text) {
                firstHiddenName = (token.text, token.offset)
            }
            guard token.kind == .word, Self.queryWords.contains(token.text) else { continue }
            if firstQueryWord == nil { firstQueryWord = (token.text, token.offset) }
            if token.text == "with", firstWith == nil { firstWith = token.offset }
        }
        for count in names {
            let (product, isTooMuch) = unfoldedMax.multipliedReportingOverflow(by: max(1, count))
            unfoldedMax = isTooMuch ? .max : product
        }
    }

    private static let queryWords: Set<String> = ["select", "values", "with"]

    /// What the store's view has beside a message's fields, and SQLite's own names of a row, null in a view.
    private static let hiddenNames = Set(MessageFields.ownNames + ["rowid", "oid", "_rowid_"])

    /// Names, stars and parentheses, told apart as SQLite does; strings, numbers, comments and other marks are left
    /// out.
    private static func tokens(of bytes: [UInt8]) -> [Token] {
        var tokens: [Token] = []
        var index = 0
        while index < bytes.count {
            let start = index
            let byte = bytes[index]
            index += 1
            let next = index < bytes.count ? bytes[index] : 0
            switch byte {
            case UInt8(ascii: "("): tokens.append(Token(kind: .open, text: "", offset: start))
            case UInt8(ascii: ")"): tokens.append(Token(kind: .close, text: "", offset: start))
            case UInt8(ascii: "*"): tokens.append(Token(kind: .star, text: "", offset: start))
            case UInt8(ascii: "'"): index = end(of: bytes, from: index, byte)
            case UInt8(ascii: "\""), UInt8(ascii: "`"), UInt8(ascii: "["):
                index = end(of: bytes, from: index, byte == UInt8(ascii: "[") ? UInt8(ascii: "]") : byte)
                let name = bytes[(start + 1)..<index].dropLast()
                tokens.append(Token(kind: .quoted, text: lowercased(name), offset: start))
            case UInt8(ascii: "-") where next == byte:
                while index < bytes.count, bytes[index] != UInt8(ascii: "\n") { index += 1 }
            case UInt8(ascii: "/") where next == UInt8(ascii: "*"):
                index = min(bytes.count, index + 2)
                while index < bytes.count,
                    !(bytes[index - 1] == UInt8(ascii: "*") && bytes[index] == UInt8(ascii: "/"))
                {
                    index += 1
                }
                index = min(bytes.count, index + 1)
            case _ where isPartOfWord(byte):
                while index < bytes.count, isPartOfWord(bytes[index]) { index += 1 }
                tokens.append(Token(kind: .word, text: lowercased(bytes[start..<index]), offset: start))
            default: break
            }
        }
        return tokens
    }

    private static func lowercased(_ bytes: ArraySlice<UInt8>) -> String {
        String(decoding: bytes, as: UTF8.self).lowercased()
    }

    /// Behind the mark that closes what was opened. A doubled mark goes on with the next string, which is the same.
    private static func end(of bytes: [UInt8], from start: Int, _ mark: UInt8) -> Int {
        var index = start
        while index < bytes.count, bytes[index] != mark { index += 1 }
        return min(bytes.count, index + 1)
    }

    private static func isPartOfWord(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "$"), 0x80...:
            true
        default: false
        }
    }
}
