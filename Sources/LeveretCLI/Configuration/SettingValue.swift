// The value of one setting, and where it comes from: the command line, else the environment, else the file, else the
// default. It reads texts as what they should be, and names their place when they are not.

/// What a setting is, and who says so.
struct SettingValue: Equatable {
    /// Who says it.
    enum Origin: Equatable {
        case flag
        case environment
        case file(path: String, line: Int)
        case standard
    }

    let key: SettingKey
    /// None where the setting is off.
    let texts: [String]
    let origin: Origin

    /// Takes the first that says something.
    init(
        _ key: SettingKey, flags: [String: [String]], environment: (String) -> String?, file: SettingsFile?
    ) {
        self.key = key
        if let given = flags[key.name] {
            texts = key.kind == .list ? given.flatMap(Self.parts) : given
            origin = .flag
        } else if let given = environment(key.variable) {
            texts = key.kind == .list ? Self.parts(given) : [given]
            origin = .environment
        } else if let file, let given = file.values[key.name] {
            texts = given.texts
            origin = .file(path: file.path, line: given.line)
        } else {
            texts = key.standard
            origin = .standard
        }
    }

    /// Commas part what a list holds, where it is written in one word.
    private static func parts(_ text: String) -> [String] {
        text.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
    }

    /// Who says it, in words.
    var source: String {
        switch origin {
        case .flag: key.flag
        case .environment: key.variable
        case .file(let path, let line): "\(path) line \(line)"
        case .standard: "default"
        }
    }

    /// The text; `nil` where the setting is off.
    ///
    /// - Throws: `Failure` with `.usage` for an empty one.
    var text: String? {
        get throws(Failure) {
            guard let text = texts.last else { return nil }
            guard !text.isEmpty, !text.utf8.contains(0) else { throw wrong(text) }
            return text
        }
    }

    /// The number.
    ///
    /// - Throws: `Failure` with `.usage` for what is none, or out of its range.
    var number: Int {
        get throws(Failure) {
            guard let text = texts.last else { return 0 }
            let (number, range): (Int?, ClosedRange<Int>)
            switch key.kind {
            case .number(let allowed): (number, range) = (Int(text), allowed)
            case .size(let allowed): (number, range) = (SizeArgument(argument: text)?.bytes, allowed)
            case .text, .word, .list, .mode: return 0
            }
            guard let number, range.contains(number) else { throw wrong(text) }
            return number
        }
    }

    /// The word, as one of a type's cases.
    ///
    /// - Throws: `Failure` with `.usage` for another.
    func word<Word: RawRepresentable<String>>(_ type: Word.Type = Word.self) throws(Failure) -> Word {
        let text = texts.last ?? ""
        guard let word = Word(rawValue: text) else { throw wrong(text) }
        return word
    }

    /// Permissions of a file.
    ///
    /// - Throws: `Failure` with `.usage` for anything but octal digits up to 0777.
    var mode: UInt32 {
        get throws(Failure) {
            let text = texts.last ?? ""
            guard let mode = UInt32(text, radix: 8), mode <= 0o777, text.allSatisfy(\.isNumber) else {
                throw wrong(text)
            }
            return mode
        }
    }

    /// The refusal of one of its texts.
    func wrong(_ text: String) -> Failure {
        let place =
            switch origin {
            case .flag: key.flag
            case .environment: key.variable
            case .standard: key.name
            case .file(let path, let line): "\(key.name) (\(path.printable), line \(line))"
            }
        return Failure(.usage, "'\(text.printable)' is no value for \(place); write \(key.allowed)")
    }
}
