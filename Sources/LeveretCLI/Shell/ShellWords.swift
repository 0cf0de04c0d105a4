// A line as words, by the quoting of sh: '…' literally, "…" with \" and \\ undone, and \ before any character. Pure.

/// The words of a line, and for completion where the last one begins.
struct ShellWords: Equatable {
    /// The words that are whole, quotes undone.
    private(set) var words: [String] = []
    /// The word at the end of the line, which may still grow; `nil` behind a space, where a new one would begin.
    private(set) var last: String?
    /// How many characters stand before that word, or in the whole line.
    private(set) var lastStart: Int
    /// A quote is open, or a backslash stands at the end.
    private(set) var isOpen = false

    /// All words, the last included.
    var all: [String] { words + (last.map { [$0] } ?? []) }

    /// Reads a line. What follows a `#` at the beginning of a word is a comment.
    init(_ line: String) {
        var quote: Character?
        var isEscaped = false
        lastStart = 0
        for (place, character) in line.enumerated() {
            if isEscaped {
                // Between double quotes a backslash is one, except before what it can undo.
                if quote == "\"", character != "\"", character != "\\" { last?.append("\\") }
                last?.append(character)
                isEscaped = false
            } else if character == "\\", quote != "'" {
                begin(at: place)
                isEscaped = true
            } else if let open = quote {
                if character == open { quote = nil } else { last?.append(character) }
            } else if character == "'" || character == "\"" {
                begin(at: place)
                quote = character
            } else if character == " " || character == "\t" {
                finish()
            } else if character == "#", last == nil {
                break
            } else {
                begin(at: place)
                last?.append(character)
            }
        }
        isOpen = quote != nil || isEscaped
        if last == nil { lastStart = line.count }
    }

    private mutating func begin(at place: Int) {
        guard last == nil else { return }
        last = ""
        lastStart = place
    }

    private mutating func finish() {
        if let last { words.append(last) }
        last = nil
    }

    /// A text as a word of a line; unfinished, it may be typed on.
    static func quoted(_ text: String, isFinished: Bool) -> String {
        let isPlain = text.unicodeScalars.allSatisfy { scalar in
            switch scalar {
            case "a"..."z", "A"..."Z", "0"..."9", "_", "/", ".", ":", "-", "@", "%", "+", ",", "=", "~": true
            default: scalar.value > 0x9F
            }
        }
        if isPlain, !text.isEmpty || !isFinished { return text }
        return "'" + text.split(separator: "'", omittingEmptySubsequences: false).joined(separator: #"'\''"#)
            + (isFinished ? "'" : "")
    }
}
