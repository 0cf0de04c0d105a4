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
        var children: Int32 = 0
        var isPattern = false
        /// The child for `*`, or -1.
        var star: Int32 = -1
        /// The child for `#`, or -1.
        var hash: Int32 = -1
    }

    private static let root: Int32 = 0
    private static let starWord: Int32 = -1
    private static let hashWord: Int32 = -2
    private static let unknownWord: Int32 = -3

    private var nodes: ContiguousArray<Node> = [Node(parent: -1, word: unknownWord)]
    private var freeNodes: [Int32] = []
    /// Children by a plain word; the key is the node's number and the word's.
    private var edges: [UInt64: Int32] = [:]
    private var wordNumbers: [String: Int32] = [:]
    private var words: ContiguousArray<(text: String, uses: Int)> = []
    private var freeWords: [Int32] = []
    /// The step in which a node was last reached; compared with `step`.
    private var reached: ContiguousArray<Int> = [0]
    private var step = 0
    private var states: [Int32] = []
    private var nextStates: [Int32] = []

    /// Adds `pattern`, if it isn't there, and returns its node. O(words).
    mutating func insert(_ pattern: String) -> Int32 {
        var node = Self.root
        for word in Self.split(pattern) { node = child(of: node, word: word) }
        nodes[Int(node)].isPattern = true
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
                release(word)
            }
            nodes[Int(parent)].children -= 1
            freeNodes.append(node)
            node = parent
        }
    }

    /// The nodes of all patterns that match `key`. O(words × patterns that match so far).
    mutating func matches(_ key: String) -> [Int32] {
        states.removeAll(keepingCapacity: true)
        step += 1
        reach(Self.root)
        swap(&states, &nextStates)
        for word in Self.split(key) {
            step += 1
            let number = wordNumbers[word] ?? Self.unknownWord
            for state in states { advance(state, by: number) }
            states.removeAll(keepingCapacity: true)
            swap(&states, &nextStates)
        }
        defer { states.removeAll(keepingCapacity: true) }
        return states.filter { nodes[Int($0)].isPattern }
    }

    private mutating func advance(_ state: Int32, by word: Int32) {
        let node = nodes[Int(state)]
        if node.word == Self.hashWord { reach(state) }
        if node.star >= 0 { reach(node.star) }
        if word >= 0, let next = edges[Self.edge(state, word)] { reach(next) }
    }

    /// Adds a node to the next states, and those that `#` for no words leads to.
    private mutating func reach(_ node: Int32) {
        var node = node
        while node >= 0, reached[Int(node)] != step {
            reached[Int(node)] = step
            nextStates.append(node)
            node = nodes[Int(node)].hash
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
            if let number = wordNumbers[word], let next = edges[Self.edge(node, number)] { return next }
            let number = intern(word)
            let new = addNode(parent: node, word: number)
            edges[Self.edge(node, number)] = new
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
        reached.append(0)
        return Int32(nodes.count - 1)
    }

    private mutating func intern(_ word: String) -> Int32 {
        if let number = wordNumbers[word] {
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
        wordNumbers[word] = number
        return number
    }

    private mutating func release(_ number: Int32) {
        words[Int(number)].uses -= 1
        guard words[Int(number)].uses == 0 else { return }
        wordNumbers[words[Int(number)].text] = nil
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
