// A line that is being typed: keys in, the line and what to do out. It knows the lines typed before and no terminal.

/// A line of text, a cursor in it, and the lines before it.
struct LineEdit {
    /// What a key asks for.
    enum Outcome: Equatable {
        /// The line is done.
        case entered(String)
        /// The line is dropped: Ctrl-C.
        case dropped
        /// There are no more lines: Ctrl-D, or the terminal has gone.
        case ended
        /// The word before the cursor is to be completed.
        case completion
        /// The screen is to be wiped.
        case wipe
    }

    private(set) var characters: [Character] = []
    /// How many characters stand before the cursor.
    private(set) var cursor = 0
    /// The lines before, the oldest first.
    private let earlier: [String]
    /// Which of them is shown; their number where it is the one that was typed.
    private var shown: Int
    /// What was typed before an earlier line was shown.
    private var typed = ""
    /// What Ctrl-R looks for, while nothing else is pressed.
    private var wanted: String?

    /// An empty line.
    init(earlier: [String] = []) {
        self.earlier = earlier
        shown = earlier.count
    }

    /// The whole line.
    var text: String { String(characters) }
    /// What stands before the cursor.
    var textBeforeCursor: String { String(characters[..<cursor]) }

    /// Takes a key.
    mutating func pressed(_ key: TerminalKey) -> Outcome? {
        if key != .control("r") { wanted = nil }
        switch key {
        case .character(let character): insert([character])
        case .enter: return .entered(text)
        case .interrupt: return .dropped
        case .gone: return .ended
        case .control("d") where characters.isEmpty: return .ended
        case .tab: return .completion
        case .control("l"): return .wipe
        case .left, .control("b"): cursor = max(0, cursor - 1)
        case .right, .control("f"): cursor = min(characters.count, cursor + 1)
        case .home, .control("a"): cursor = 0
        case .end, .control("e"): cursor = characters.count
        case .up, .control("p"): show(shown - 1)
        case .down, .control("n"): show(shown + 1)
        case .control("r"): search()
        default: erase(key)
        }
        return nil
    }

    /// Puts a text in the place of what stands between `start` and the cursor.
    mutating func replace(from start: Int, with text: String) {
        guard (0...cursor).contains(start) else { return }
        characters.removeSubrange(start..<cursor)
        cursor = start
        insert(Array(text))
    }

    private mutating func insert(_ new: [Character]) {
        characters.insert(contentsOf: new, at: cursor)
        cursor += new.count
    }

    private mutating func erase(_ key: TerminalKey) {
        switch key {
        case .backspace where cursor > 0:
            cursor -= 1
            characters.remove(at: cursor)
        case .delete where cursor < characters.count, .control("d") where cursor < characters.count:
            characters.remove(at: cursor)
        case .control("k"): characters.removeSubrange(cursor...)
        case .control("u"):
            characters.removeSubrange(..<cursor)
            cursor = 0
        case .control("w"):
            var start = cursor
            while start > 0, characters[start - 1] == " " { start -= 1 }
            while start > 0, characters[start - 1] != " " { start -= 1 }
            characters.removeSubrange(start..<cursor)
            cursor = start
        default: break
        }
    }

    // MARK: - Earlier lines

    private mutating func show(_ index: Int) {
        guard (0...earlier.count).contains(index), index != shown else { return }
        if shown == earlier.count { typed = text }
        shown = index
        characters = Array(index == earlier.count ? typed : earlier[index])
        cursor = characters.count
    }

    /// The last line before this one that has what was typed; pressed again, the one before that.
    private mutating func search() {
        let wanted = wanted ?? text
        self.wanted = wanted
        if let index = earlier[..<shown].lastIndex(where: { wanted.isEmpty || $0.contains(wanted) }) {
            show(index)
        }
    }

    // MARK: - On the screen

    /// The line as a terminal of `width` columns shows it behind `prompt`, and the column of the cursor. Of a line that
    /// is too long it is the part around the cursor.
    func drawn(behind prompt: String, width: Int) -> (text: String, column: Int) {
        let room = max(4, width - prompt.columns - 1)
        var start = 0
        var before = characters[..<cursor].reduce(0) { $0 + Self.columns($1) }
        while before > room {
            before -= Self.columns(characters[start])
            start += 1
        }
        var text = ""
        var used = 0
        for character in characters[start...] {
            used += Self.columns(character)
            if used > room { break }
            text += String(character).printable
        }
        return (prompt + text, prompt.columns + before)
    }

    private static func columns(_ character: Character) -> Int { String(character).printable.columns }
}
