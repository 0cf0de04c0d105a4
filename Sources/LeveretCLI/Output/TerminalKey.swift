// What a terminal sends for keys, understood. Pure: bytes in, keys out.

/// A key.
enum TerminalKey: Equatable {
    case character(Character)
    case up, down, left, right, pageUp, pageDown, home, end
    case enter, escape, backspace, delete, tab
    /// Ctrl-C.
    case interrupt
    /// The terminal has gone.
    case gone
    /// Ctrl and this letter, for those that are no key of their own.
    case control(Character)

    /// The keys that these bytes of one read stand for; what is no key is left out.
    static func decode(_ bytes: [UInt8]) -> [TerminalKey] {
        var keys: [TerminalKey] = []
        var rest = bytes[...]
        while let byte = rest.popFirst() {
            switch byte {
            case 0x03: keys.append(.interrupt)
            case 0x09: keys.append(.tab)
            case 0x0A, 0x0D: keys.append(.enter)
            case 0x08, 0x7F: keys.append(.backspace)
            case 0x1B: if let key = sequence(&rest) { keys.append(key) }
            case 0x01...0x1A: keys.append(.control(Character(Unicode.Scalar(byte + 0x60))))
            case ..<0x20: break
            default:
                let length = byte < 0xC0 ? 1 : byte < 0xE0 ? 2 : byte < 0xF0 ? 3 : 4
                let text = String(decoding: [byte] + rest.prefix(length - 1), as: UTF8.self)
                rest = rest.dropFirst(length - 1)
                keys += text.map { .character($0) }
            }
        }
        return keys
    }

    /// What follows an escape: `[` or `O`, numbers, and a letter or `~`. Alone it is the key itself.
    private static func sequence(_ rest: inout ArraySlice<UInt8>) -> TerminalKey? {
        guard rest.first == UInt8(ascii: "[") || rest.first == UInt8(ascii: "O") else { return .escape }
        rest = rest.dropFirst()
        var number: [UInt8] = []
        while let byte = rest.popFirst() {
            switch byte {
            case 0x30...0x3F: number.append(byte)
            case UInt8(ascii: "A"): return .up
            case UInt8(ascii: "B"): return .down
            case UInt8(ascii: "C"): return .right
            case UInt8(ascii: "D"): return .left
            case UInt8(ascii: "H"): return .home
            case UInt8(ascii: "F"): return .end
            case UInt8(ascii: "~"):
                switch String(decoding: number, as: UTF8.self) {
                case "1", "7": return .home
                case "3": return .delete
                case "4", "8": return .end
                case "5": return .pageUp
                case "6": return .pageDown
                default: return nil
                }
            default: return nil
            }
        }
        return nil
    }
}
