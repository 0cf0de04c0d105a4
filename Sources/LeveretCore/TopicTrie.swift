// Topic patterns (AMQP 0-9-1 §3.1.3.3) as a trie over interned words. A topic exchange puts its bindings'
// patterns in and asks which of them match a key. All states of the match move on together, word by word,
// each at most once, so no pattern and no key can make it backtrack. It knows patterns, not bindings.

/// Which of many patterns match a routing key: `*` stands for one word, `#` for any number of words.
///
/// A key's words are what stands between its dots; the empty key has none. A pattern is known by the number
/// of its last node, which stays the same until the pattern is removed.
struct TopicTrie {
    private struct Node {
        var parent: Int32
        /// The edge from the parent: a word's number, or `starWord` or `hashWord`.
        var word: Int32
        /// The child for `*`, or -1.
        var star: Int32 = -1
        /// The child for `#`, or -1.
        var hash: Int32 = -1
        /// The newest child for a plain word and that word, or -1; others are found in `edges`.
        var plain: Int32 = -1
        var plainWord: Int32 = noWord
        var children: Int32 = 0
        /// Children for plain words.
        var plainChildren: Int32 = 0
        /// No pattern that goes on here ends with fewer words than these behind it; never too many.
        var wordsLeft: Int32 = .max
        /// The step in which it was last reached.
        var reached = 0
        /// The match in which it needs no more looking at, known by its first step: see `cover`.
        var covered = 0
        var isPattern = false
    }

    private static let root: Int32 = 0
    private static let starWord: Int32 = -1
    private static let hashWord: Int32 = -2
    private static let unknownWord: Int32 = -3
    private static let noWord: Int32 = -4

    private var nodes: ContiguousArray<Node> = [Node(parent: -1, word: unknownWord)]
    private var freeNodes: [Int32] = []
    /// Children by a plain word; the key is the node's number and the word's.
    private var edges: [UInt64: Int32] = [:]
    private var wordNumbers: [ByteKey: Int32] = [:]
    private var words: ContiguousArray<(text: String, uses: Int)> = []
    private var freeWords: [Int32] = []
    private var step = 0
    /// The first step of the match.
    private var start = 0
    private var states: ContiguousArray<Int32> = []
    private var nextStates: ContiguousArray<Int32> = []

    /// Adds `pattern`, if it isn't there, and returns its node. O(words).
    mutating func insert(_ pattern: String) -> Int32 {
        var node = Self.root
        for word in Self.split(pattern) { node = child(of: node, word: word) }
        nodes[Int(node)].isPattern = true
        var (above, left) = (node, Int32(0))
        while above >= 0, left < nodes[Int(above)].wordsLeft {
            nodes[Int(above)].wordsLeft = left
            if nodes[Int(above)].word != Self.hashWord { left += 1 }
            above = nodes[Int(above)].parent
        }
        return node
    }

    /// Removes the pattern of `node` and what only it needed. O(words).
    mutating func remove(_ node: Int32) {
        nodes[Int(node)].isPattern = false
        var node = node
        while node != Self.root, nodes[Int(node)].children == 0, !nodes[Int(node)].isPattern {
            let (parent, word) = (nodes[Int(node)].parent, nodes[Int(node)].word)
            switch word {
            case Self.starWord: nodes[Int(parent)].star = -1
            case Self.hashWord: nodes[Int(parent)].hash = -1
            default:
                edges[Self.edge(parent, word)] = nil
                nodes[Int(parent)].plainChildren -= 1
                if nodes[Int(parent)].plain == node {
                    nodes[Int(parent)].plain = -1
                    nodes[Int(parent)].plainWord = Self.noWord
                }
                release(word)
            }
            nodes[Int(parent)].children -= 1
            freeNodes.append(node)
            node = parent
        }
    }

    /// The nodes of all patterns that match `key`. O(words × nodes reached), each node once a word at most.
    mutating func matches(_ key: String) -> [Int32] {
        let words = Self.split(key)
        states.removeAll(keepingCapacity: true)
        nextStates.removeAll(keepingCapacity: true)
        step += 1
        start = step
        nodes.withUnsafeMutableBufferPointer {
            Self.reach(Self.root, in: $0, step, start, Int32(clamping: words.count), &nextStates)
        }
        for (place, word) in words.enumerated() {
            swap(&states, &nextStates)
            nextStates.removeAll(keepingCapacity: true)
            step += 1
            advance(
                by: wordNumbers[ByteKey(word)] ?? Self.unknownWord,
                left: Int32(clamping: words.count - place - 1))
        }
        return nextStates.filter { nodes[Int($0)].isPattern }
    }

    /// Moves all states on by a word, behind which the key has `left` more.
    private mutating func advance(by word: Int32, left: Int32) {
        let (step, start, edges) = (step, start, edges)
        nodes.withUnsafeMutableBufferPointer { nodes in
            for state in states where nodes[Int(state)].covered != start {
                let node = Int(state)
                if nodes[node].word == Self.hashWord {
                    Self.reach(state, in: nodes, step, start, left, &nextStates)
                }
                if nodes[node].star >= 0 {
                    Self.reach(nodes[node].star, in: nodes, step, start, left, &nextStates)
                }
                if nodes[node].plainWord == word {
                    Self.reach(nodes[node].plain, in: nodes, step, start, left, &nextStates)
                } else if word >= 0, nodes[node].plainChildren > (nodes[node].plain >= 0 ? 1 : 0),
                    let next = edges[Self.edge(state, word)]
                {
                    Self.reach(next, in: nodes, step, start, left, &nextStates)
                }
            }
        }
    }

    /// Adds a node to the next states, and those that `#` for no words leads to; none that the words that are
    /// left of the key are too few for.
    @inline(__always)
    private static func reach(
        _ node: Int32, in nodes: UnsafeMutableBufferPointer<Node>, _ step: Int, _ start: Int, _ left: Int32,
        _ next: inout ContiguousArray<Int32>
    ) {
        var node = node
        while node >= 0, nodes[Int(node)].reached != step, nodes[Int(node)].covered != start,
            nodes[Int(node)].wordsLeft <= left
        {
            if nodes[Int(node)].word == hashWord { cover(above: node, in: nodes, start) }
            nodes[Int(node)].reached = step
            next.append(node)
            node = nodes[Int(node)].hash
        }
    }

    /// Once a `#` is reached, the nodes before it that lead only there can find nothing that it doesn't: it takes
    /// any words. Each is covered once a match at most.
    private static func cover(above hash: Int32, in nodes: UnsafeMutableBufferPointer<Node>, _ start: Int) {
        var node = nodes[Int(hash)].parent
        while node >= 0, nodes[Int(node)].children == 1, !nodes[Int(node)].isPattern,
            nodes[Int(node)].covered != start
        {
            nodes[Int(node)].covered = start
            node = nodes[Int(node)].parent
        }
    }

    private mutating func child(of node: Int32, word: String) -> Int32 {
        switch word {
        case "*":
            if nodes[Int(node)].star >= 0 { return nodes[Int(node)].star }
            let new = addNode(parent: node, word: Self.starWord)
            nodes[Int(node)].star = new
            return new
        case "#":
            if nodes[Int(node)].hash >= 0 { return nodes[Int(node)].hash }
            let new = addNode(parent: node, word: Self.hashWord)
            nodes[Int(node)].hash = new
            return new
        default:
            if let number = wordNumbers[ByteKey(word)], let next = edges[Self.edge(node, number)] {
                return next
            }
            let number = intern(word)
            let new = addNode(parent: node, word: number)
            edges[Self.edge(node, number)] = new
            nodes[Int(node)].plain = new
            nodes[Int(node)].plainWord = number
            nodes[Int(node)].plainChildren += 1
            return new
        }
    }

    private mutating func addNode(parent: Int32, word: Int32) -> Int32 {
        nodes[Int(parent)].children += 1
        let node = Node(parent: parent, word: word)
        if let free = freeNodes.popLast() {
            nodes[Int(free)] = node
            return free
        }
        nodes.append(node)
        return Int32(nodes.count - 1)
    }

    private mutating func intern(_ word: String) -> Int32 {
        if let number = wordNumbers[ByteKey(word)] {
            words[Int(number)].uses += 1
            return number
        }
        let number: Int32
        if let free = freeWords.popLast() {
            number = free
            words[Int(free)] = (word, 1)
        } else {
            number = Int32(words.count)
            words.append((word, 1))
        }
        wordNumbers[ByteKey(word)] = number
        return number
    }

    private mutating func release(_ number: Int32) {
        words[Int(number)].uses -= 1
        guard words[Int(number)].uses == 0 else { return }
        wordNumbers[ByteKey(words[Int(number)].text)] = nil
        words[Int(number)].text = ""
        freeWords.append(number)
    }

    private static func edge(_ node: Int32, _ word: Int32) -> UInt64 {
        UInt64(UInt32(bitPattern: node)) << 32 | UInt64(UInt32(bitPattern: word))
    }

    /// The words between the dots; none in the empty key.
    static func split(_ key: String) -> [String] {
        guard !key.isEmpty else { return [] }
        return key.utf8.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
            .map { String(Substring($0)) }
    }
}
