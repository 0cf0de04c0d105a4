// The patterns of listings (`LIST queues match=…`). Matching remembers only the last `*`, so it takes time
// in proportion to pattern × text at the very most.

/// A pattern in which `*` stands for any characters and `?` for one.
public struct Glob: Sendable, Hashable {
    private let pattern: [Unicode.Scalar]

    /// The pattern as a client writes it.
    public init(_ pattern: String) {
        var scalars: [Unicode.Scalar] = []
        for scalar in pattern.unicodeScalars where scalar != "*" || scalars.last != "*" {
            scalars.append(scalar)
        }
        self.pattern = scalars
    }

    /// True where the pattern stands for the whole of `text`.
    public func matches(_ text: String) -> Bool {
        let text = Array(text.unicodeScalars)
        var (p, t) = (0, 0)
        /// Where to go on when what follows the last `*` turns out not to fit: behind it, and one further on.
        var retry: (pattern: Int, text: Int)?
        while t < text.count {
            if p < pattern.count, pattern[p] == "*" {
                retry = (p + 1, t)
                p += 1
            } else if p < pattern.count, pattern[p] == "?" || pattern[p] == text[t] {
                p += 1
                t += 1
            } else if let last = retry {
                retry = (last.pattern, last.text + 1)
                (p, t) = (last.pattern, last.text + 1)
            } else {
                return false
            }
        }
        return pattern[p...].allSatisfy { $0 == "*" }
    }
}
