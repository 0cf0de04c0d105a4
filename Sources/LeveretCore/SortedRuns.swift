// An ordered set that is walked from any element on: the names of queues and exchanges and the numbers of
// bindings, for listings that come in pages, and GETs that wait. It is kept in short runs, so that a change moves few
// elements.

/// Elements in ascending order, each once.
struct SortedRuns<Element: Comparable> {
    /// A run that grows past this is halved.
    private static var runMax: Int { 512 }

    /// None is empty.
    private var runs: ContiguousArray<ContiguousArray<Element>> = []

    /// Adds an element that may be there. O(log count).
    mutating func insert(_ element: Element) {
        guard !runs.isEmpty else {
            runs = [[element]]
            return
        }
        let run = run(of: element)
        let index = Self.firstIndex(in: runs[run]) { $0 >= element }
        if index < runs[run].count, runs[run][index] == element { return }
        runs[run].insert(element, at: index)
        if runs[run].count > Self.runMax { halve(run) }
    }

    /// Takes an element out, if it is there. O(log count).
    mutating func remove(_ element: Element) {
        guard !runs.isEmpty else { return }
        let run = run(of: element)
        let index = Self.firstIndex(in: runs[run]) { $0 >= element }
        guard index < runs[run].count, runs[run][index] == element else { return }
        runs[run].remove(at: index)
        if runs[run].isEmpty { runs.remove(at: run) }
    }

    /// The first element.
    var first: Element? { runs.first?.first }

    /// The first element behind `element`. O(log count).
    func first(after element: Element) -> Element? {
        var found: Element?
        walk(after: element) {
            found = $0
            return false
        }
        return found
    }

    /// Calls `body` for each element behind `after`, or for all, in order, until it returns false.
    func walk(after: Element?, _ body: (Element) -> Bool) {
        guard !runs.isEmpty else { return }
        var run = after.map { self.run(of: $0) } ?? 0
        var index = after.map { after in Self.firstIndex(in: runs[run]) { $0 > after } } ?? 0
        while run < runs.count {
            while index < runs[run].count {
                guard body(runs[run][index]) else { return }
                index += 1
            }
            (run, index) = (run + 1, 0)
        }
    }

    /// The run in which the element is, or would be.
    private func run(of element: Element) -> Int {
        max(0, Self.firstIndex(in: runs) { $0[0] > element } - 1)
    }

    private mutating func halve(_ run: Int) {
        // What is added at the end, as numbers are, leaves full runs behind.
        let start = run == runs.count - 1 ? runs[run].count - 1 : runs[run].count / 2
        runs.insert(ContiguousArray(runs[run][start...]), at: run + 1)
        runs[run].removeSubrange(start...)
    }

    /// Where the elements begin that `holds` is true of; it is of all behind the first.
    private static func firstIndex<Item>(in items: ContiguousArray<Item>, _ holds: (Item) -> Bool) -> Int {
        var (low, high) = (0, items.count)
        while low < high {
            let middle = (low + high) / 2
            if holds(items[middle]) { high = middle } else { low = middle + 1 }
        }
        return low
    }
}
