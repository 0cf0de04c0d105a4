// Errors that differ in numbers and ids only, taken together: a thousand files that are missing are one kind of error.

/// What errors have in common.
enum ErrorShape {
    /// So many texts of one shape are told apart: `exit status 1` is not `exit status 137`.
    static let variantsMax = 3

    /// The text with `%` for each word that has a digit in it, as LIKE understands it.
    static func of(_ text: String) -> String {
        var shape = ""
        var word = ""
        func end() {
            shape += word.contains { $0.isASCII && $0.isNumber } ? "%" : word
            word = ""
        }
        for character in text {
            if character.isLetter || character.isNumber || character == "-" || character == "_" {
                word.append(character)
            } else {
                end()
                shape.append(character)
            }
        }
        end()
        return shape
    }

    /// What stands for a text, where too many have its shape.
    static func standIns(for texts: some Sequence<String>) -> [String: String] {
        var standIns: [String: String] = [:]
        for (shape, variants) in Dictionary(grouping: Set(texts), by: of) where variants.count > variantsMax {
            for text in variants { standIns[text] = shape }
        }
        return standIns
    }
}
