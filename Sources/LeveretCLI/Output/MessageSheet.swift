// One message for a person, all of it: what `msg show` and `dead show` print without `-o`. Facts first, then what
// nests, each under its name, and the body last.

/// One message with everything that is known of it.
enum MessageSheet {
    /// The facts below each other, headers, properties, deaths, and the body in the form that `format` says; `nil` is
    /// JSON, text or hexadecimal, whatever it is.
    static func text(
        _ message: JSON, columns: [Column], body format: BodyFormat?, colour: Bool, now: Int64 = Terminal.now
    ) -> String {
        let nested: Set<String> = ["headers", "properties", "deaths"]
        let facts = columns.filter { !nested.contains($0.name) && $0.style != .body }
        var text = FactSheet.text(
            message.withMoments(of: facts, now: now), columns: facts, colour: colour, now: now)
        func heading(_ name: String) { text += "\n" + (colour ? "\u{1B}[1m\(name)\u{1B}[0m" : name) + "\n" }
        for column in columns where column.name == "headers" || column.name == "properties" {
            guard case .object(let fields)? = message[column.name], !fields.isEmpty else { continue }
            heading(column.name)
            let width = fields.reduce(0) { max($0, $1.name.printable.columns) }
            for field in fields {
                text +=
                    "  " + field.name.printable.padded(to: width, right: false) + "  "
                    + field.value.compact.printable + "\n"
            }
        }
        if columns.contains(where: { $0.name == "deaths" }), case .array(let deaths)? = message["deaths"] {
            heading("deaths, the last one first")
            for death in deaths { text += "  " + sentence(death, now: now) + "\n" }
        }
        if columns.contains(where: { $0.style == .body }) {
            let bytes = message.bodyBytes
            heading("body, \(Quantity.bytes(bytes.count))")
            text += body(bytes, as: format)
        }
        return text
    }

    /// A body, its lines ended.
    static func body(_ bytes: [UInt8], as format: BodyFormat?) -> String {
        let text = String(validating: bytes, as: UTF8.self)
        switch format {
        case .hex: return Hex.dump(bytes)
        case .text, .raw: return lines(text ?? String(decoding: bytes, as: UTF8.self))
        case .json, nil:
            if let json = JSON(bytes) { return json.indented + "\n" }
            guard let text, !text.unicodeScalars.contains(where: { $0.value == 0 }) else {
                return Hex.dump(bytes)
            }
            return lines(text)
        }
    }

    /// Text line by line, without what could steer the terminal.
    private static func lines(_ text: String) -> String {
        if text.isEmpty { return "" }
        var lines = text.split(separator: "\n", omittingEmptySubsequences: false)
        if lines.last == "" { lines.removeLast() }
        return lines.map { String($0).printable + "\n" }.joined()
    }

    /// `rejected in queue 'jobs', 3 times since 2026-01-31T09:05:00.250Z (2h ago); …`.
    private static func sentence(_ death: JSON, now: Int64) -> String {
        func word(_ name: String) -> String { (death[name]?.text ?? "").printable }
        let count = death["count"]?.int ?? 1
        let age = Time.milliseconds(word("time")).map { " (\(Quantity.age(milliseconds: now - $0)))" } ?? ""
        let times = count == 1 ? "at" : "\(Quantity.count(count)) times since"
        var text = "\(word("reason")) in queue '\(word("queue"))' \(times) \(word("time"))\(age)"
        if case .array(let keys)? = death["routing_keys"] {
            let shown = keys.map { "'\(($0.text ?? "").printable)'" }.joined(separator: ", ")
            text += "; published to exchange '\(word("exchange"))' with key \(shown)"
        }
        let life = word("original_expiration")
        if !life.isEmpty { text += ", to expire after \(life) ms" }
        return text
    }
}
