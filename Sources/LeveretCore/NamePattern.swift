// The regular expressions of policies. A small engine of its own: it looks at each character once, so that no
// pattern can hold the broker up, and it knows what policies use: . [] * + ? {n,m} | () ^ $ \d \w \s.

/// A regular expression over names, found anywhere in a name unless `^` and `$` say where.
public struct NamePattern: Sendable, Hashable {
    /// As it was written.
    public let source: String
    private let states: [State]
    private let start: Int
    /// The characters that the pattern begins with, as UTF-8: without them, nothing has to be tried.
    private let head: [UInt8]
    /// They stand at the beginning of the name.
    private let isAnchored: Bool

    private enum State: Sendable, Hashable {
        case end
        /// Goes on at both.
        case split(Int, Int)
        /// Takes one of these characters.
        case take(Characters, Int)
        /// Only at the beginning, or at the end.
        case beginning(Int)
        case ending(Int)
    }

    /// Compiles a pattern. Throws 406 that says at which character it can't be understood.
    public init(_ source: String) throws(BrokerError) {
        self.source = source
        var parser = PatternParser(source)
        let tree = try parser.parse()
        var builder = Builder()
        let end = builder.add(.end)
        start = try builder.build(tree, then: end, in: source)
        states = builder.states
        (head, isAnchored) = tree.head
    }

    /// True where the pattern is found in `name`. Takes time in proportion to pattern × name.
    public func matches(_ name: String) -> Bool {
        guard hasHead(name) else { return false }
        let text = Array(name.unicodeScalars)
        var current: [Int] = []
        // At which place each state was reached last.
        var reached = [Int](repeating: -1, count: states.count)
        for place in 0...text.count {
            var next: [Int] = []
            for state in current + [start] {
                if follow(state, at: place, of: text.count, into: &next, &reached) { return true }
            }
            guard place < text.count else { return false }
            current = []
            for case .take(let characters, let target) in next.map({ states[$0] })
            where characters.contains(text[place]) {
                current.append(target)
            }
        }
        return false
    }

    private func hasHead(_ name: String) -> Bool {
        guard !head.isEmpty else { return true }
        var name = name
        return name.withUTF8 { bytes in
            guard head.count <= bytes.count else { return false }
            for start in 0...(isAnchored ? 0 : bytes.count - head.count)
            where bytes[start] == head[0] && bytes[start...].starts(with: head) { return true }
            return false
        }
    }

    /// Gathers the states that take a character; true where the end is reached.
    private func follow(
        _ first: Int, at place: Int, of count: Int, into taking: inout [Int], _ reached: inout [Int]
    ) -> Bool {
        var open = [first]
        while let state = open.popLast() {
            guard reached[state] < place else { continue }
            reached[state] = place
            switch states[state] {
            case .end: return true
            case .split(let a, let b): open += [b, a]
            case .take: taking.append(state)
            case .beginning(let next): if place == 0 { open.append(next) }
            case .ending(let next): if place == count { open.append(next) }
            }
        }
        return false
    }

    private struct Builder {
        static let statesMax = 1024
        /// What is empty adds no states, however often it is repeated: so the steps count, too.
        static let stepsMax = 4 * statesMax
        var states: [State] = []
        var steps = 0

        mutating func add(_ state: State) -> Int {
            states.append(state)
            return states.count - 1
        }

        /// Adds what stands for `tree` and goes on at `next`. Returns where it begins.
        mutating func build(_ tree: PatternTree, then next: Int, in source: String) throws(BrokerError) -> Int
        {
            steps += 1
            guard states.count < Self.statesMax, steps < Self.stepsMax else {
                throw BrokerError(
                    .preconditionFailed, "pattern '\(source)' is too large; use fewer or smaller repetitions")
            }
            switch tree {
            case .characters(let characters): return add(.take(characters, next))
            case .beginning: return add(.beginning(next))
            case .ending: return add(.ending(next))
            case .sequence(let parts):
                var target = next
                for part in parts.reversed() { target = try build(part, then: target, in: source) }
                return target
            case .choice(let parts):
                var target: Int?
                for part in parts.reversed() {
                    let branch = try build(part, then: next, in: source)
                    target = target.map { add(.split(branch, $0)) } ?? branch
                }
                return target ?? next
            case .repetition(let part, let least, let most):
                return try build(part, least, most, then: next, in: source)
            }
        }

        private mutating func build(
            _ part: PatternTree, _ least: Int, _ most: Int?, then next: Int, in source: String
        ) throws(BrokerError) -> Int {
            var target = next
            if let most {
                for _ in least..<max(least, most) {
                    target = add(.split(try build(part, then: target, in: source), next))
                }
            } else {
                let loop = add(.end)
                states[loop] = .split(try build(part, then: loop, in: source), next)
                target = loop
            }
            for _ in 0..<least { target = try build(part, then: target, in: source) }
            return target
        }
    }
}

/// A set of characters.
struct Characters: Sendable, Hashable {
    var ranges: [ClosedRange<Unicode.Scalar>] = []
    var isInverted = false

    func contains(_ scalar: Unicode.Scalar) -> Bool {
        ranges.contains { $0.contains(scalar) } != isInverted
    }
}

/// What a pattern means.
indirect enum PatternTree {
    case characters(Characters)
    case beginning
    case ending
    case sequence([PatternTree])
    case choice([PatternTree])
    case repetition(PatternTree, least: Int, most: Int?)

    /// The characters that whatever matches has first, and whether it begins the name.
    fileprivate var head: (bytes: [UInt8], isAnchored: Bool) {
        guard case .sequence(var parts) = self else { return ([], false) }
        var isAnchored = false
        if case .beginning? = parts.first {
            isAnchored = true
            parts.removeFirst()
        }
        var text = String.UnicodeScalarView()
        for case .characters(let characters) in parts.prefix(while: \.isOneCharacter) {
            if let scalar = characters.ranges.first?.lowerBound { text.append(scalar) }
        }
        return (Array(String(text).utf8), isAnchored)
    }

    private var isOneCharacter: Bool {
        guard case .characters(let characters) = self, !characters.isInverted, characters.ranges.count == 1,
            let range = characters.ranges.first
        else { return false }
        return range.lowerBound == range.upperBound
    }
}

/// Reads a pattern.
private struct PatternParser {
    private static let depthMax = 32
    private static let repetitionsMax = 255

    private let source: String
    private let text: [Unicode.Scalar]
    private var place = 0
    private var depth = 0

    init(_ source: String) {
        self.source = source
        text = Array(source.unicodeScalars)
    }

    private var next: Unicode.Scalar? { place < text.count ? text[place] : nil }

    private func failure(_ why: String) -> BrokerError {
        BrokerError(
            .preconditionFailed, "pattern '\(source)' can't be understood at character \(place + 1): \(why)")
    }

    mutating func parse() throws(BrokerError) -> PatternTree {
        guard source.utf8.count <= 255 else {
            let text = "a pattern of \(source.utf8.count) bytes; 255 are allowed"
            throw BrokerError(.preconditionFailed, text)
        }
        let tree = try choice()
        guard next == nil else { throw failure("')' without '('") }
        return tree
    }

    private mutating func choice() throws(BrokerError) -> PatternTree {
        depth += 1
        defer { depth -= 1 }
        guard depth <= Self.depthMax else { throw failure("groups are nested too deeply") }
        var parts: [PatternTree] = [try sequence()]
        while next == "|" {
            place += 1
            parts.append(try sequence())
        }
        return parts.count == 1 ? parts[0] : .choice(parts)
    }

    private mutating func sequence() throws(BrokerError) -> PatternTree {
        var parts: [PatternTree] = []
        while let scalar = next, scalar != "|", scalar != ")" {
            parts.append(try repeated(try one()))
        }
        return .sequence(parts)
    }

    private mutating func one() throws(BrokerError) -> PatternTree {
        guard let scalar = next else { throw failure("something is missing") }
        place += 1
        switch scalar {
        case "^": return .beginning
        case "$": return .ending
        case ".": return .characters(Characters(isInverted: true))
        case "[": return .characters(try set())
        case "\\": return .characters(try escape())
        case "(":
            if next == "?" {
                guard place + 1 < text.count, text[place + 1] == ":" else {
                    throw failure("of groups only (…) and (?:…) are known")
                }
                place += 2
            }
            let tree = try choice()
            guard next == ")" else { throw failure("a group is not closed") }
            place += 1
            return tree
        case "*", "+", "?", "{":
            place -= 1
            throw failure("'\(scalar)' has nothing to repeat; write \\\(scalar) for the character")
        default: return .characters(Characters(ranges: [scalar...scalar]))
        }
    }

    private mutating func repeated(_ tree: PatternTree) throws(BrokerError) -> PatternTree {
        switch next {
        case "*":
            place += 1
            return .repetition(tree, least: 0, most: nil)
        case "+":
            place += 1
            return .repetition(tree, least: 1, most: nil)
        case "?":
            place += 1
            return .repetition(tree, least: 0, most: 1)
        case "{":
            place += 1
            let least = try number()
            var most: Int? = least
            if next == "," {
                place += 1
                most = next == "}" ? nil : try number()
            }
            guard next == "}", most ?? least >= least else { throw failure("expected {n}, {n,} or {n,m}") }
            place += 1
            return .repetition(tree, least: least, most: most)
        default: return tree
        }
    }

    private mutating func number() throws(BrokerError) -> Int {
        var value: Int?
        while let scalar = next, let digit = Int(String(scalar)) {
            value = (value ?? 0) * 10 + digit
            guard let value, value <= Self.repetitionsMax else {
                throw failure("at most \(Self.repetitionsMax) repetitions are allowed")
            }
            place += 1
        }
        guard let value else { throw failure("expected a number") }
        return value
    }

    private mutating func escape() throws(BrokerError) -> Characters {
        guard let scalar = next else { throw failure("a backslash stands at the end") }
        place += 1
        switch scalar {
        case "d": return Characters(ranges: ["0"..."9"])
        case "D": return Characters(ranges: ["0"..."9"], isInverted: true)
        case "w": return Characters(ranges: ["a"..."z", "A"..."Z", "0"..."9", "_"..."_"])
        case "W": return Characters(ranges: ["a"..."z", "A"..."Z", "0"..."9", "_"..."_"], isInverted: true)
        case "s": return Characters(ranges: [" "..." ", "\t"..."\r"])
        case "S": return Characters(ranges: [" "..." ", "\t"..."\r"], isInverted: true)
        case "a"..."z", "A"..."Z", "0"..."9":
            place -= 1
            throw failure("\\\(scalar) is not known")
        default: return Characters(ranges: [scalar...scalar])
        }
    }

    private mutating func set() throws(BrokerError) -> Characters {
        var set = Characters()
        if next == "^" {
            set.isInverted = true
            place += 1
        }
        var isFirst = true
        while let scalar = next, scalar != "]" || isFirst {
            isFirst = false
            place += 1
            if scalar == "\\" {
                let escaped = try escape()
                guard !escaped.isInverted else { throw failure("\\D, \\W and \\S can't stand in a set") }
                set.ranges += escaped.ranges
            } else if next == "-", place + 1 < text.count, text[place + 1] != "]" {
                let last = text[place + 1]
                guard scalar <= last else { throw failure("a range ends before it begins") }
                place += 2
                set.ranges.append(scalar...last)
            } else {
                set.ranges.append(scalar...scalar)
            }
        }
        guard next == "]" else { throw failure("a set is not closed") }
        place += 1
        return set
    }
}
