// The configuration file: a YAML mapping of settings to values, read by libyaml. It knows lines and shapes; what the
// values mean is SettingValue's business.

private import CYAML

/// What a configuration file says.
struct SettingsFile {
    /// The value of a key, and where it stands.
    struct Value: Equatable {
        /// One, or the items of a list.
        var texts: [String]
        /// From 1.
        var line: Int
    }

    /// As it was named.
    let path: String
    private(set) var values: [String: Value] = [:]

    private static let bytesMax = 64 << 10
    /// A mapping, and in it a list.
    private static let depthMax = 8

    /// Reads a file.
    ///
    /// - Throws: `Failure` with `.usage`, naming the line and what is wrong there; with `.notFound` or `.refused`
    ///   where the file can't be read.
    init(path: String) throws(Failure) {
        try self.init(try Input.start(of: path, bytesMax: Self.bytesMax + 1), path: path)
    }

    /// Reads what a file holds.
    init(_ bytes: [UInt8], path: String) throws(Failure) {
        self.path = path
        guard bytes.count <= Self.bytesMax else {
            throw Failure(
                .usage, "\(path.printable) is no configuration: it is longer than \(Self.bytesMax) bytes")
        }
        try Self.withParser(of: bytes, path) { parser throws(Failure) in try Self.checkDepth(&parser, path) }
        values = try Self.withParser(of: bytes, path) { parser throws(Failure) in try Self.read(&parser, path)
        }
    }

    private static func withParser<Result>(
        of bytes: [UInt8], _ path: String, _ body: (inout yaml_parser_t) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        var parser = yaml_parser_t()
        guard yaml_parser_initialize(&parser) == 1 else {
            throw Failure(.refused, "there is no memory to read \(path)")
        }
        defer { yaml_parser_delete(&parser) }
        let result: Swift.Result<Result, Failure> = bytes.withUnsafeBufferPointer { buffer in
            yaml_parser_set_input_string(&parser, buffer.baseAddress, buffer.count)
            do throws(Failure) { return .success(try body(&parser)) } catch { return .failure(error) }
        }
        return try result.get()
    }

    /// libyaml takes a time that grows with the square of the depth: what is nested deep is refused before it is read.
    private static func checkDepth(_ parser: inout yaml_parser_t, _ path: String) throws(Failure) {
        var depth = 0
        while true {
            var event = yaml_event_t()
            // What is wrong otherwise, reading tells.
            guard yaml_parser_parse(&parser, &event) == 1 else { return }
            defer { yaml_event_delete(&event) }
            switch event.type {
            case YAML_STREAM_END_EVENT, YAML_NO_EVENT: return
            case YAML_MAPPING_START_EVENT, YAML_SEQUENCE_START_EVENT: depth += 1
            case YAML_MAPPING_END_EVENT, YAML_SEQUENCE_END_EVENT: depth -= 1
            default: break
            }
            guard depth <= depthMax else {
                throw wrong(
                    path, event.start_mark.line, "this is nested too deep; write a 'name: value' a line")
            }
        }
    }

    private static func read(_ parser: inout yaml_parser_t, _ path: String) throws(Failure) -> [String: Value]
    {
        var document = yaml_document_t()
        guard yaml_parser_load(&parser, &document) == 1 else {
            let problem = parser.problem.map { String(cString: $0) } ?? "it can't be read"
            throw wrong(
                path, parser.problem_mark.line, "\(problem); write it as YAML, a 'name: value' a line")
        }
        defer { yaml_document_delete(&document) }
        // An empty file sets nothing.
        guard let root = yaml_document_get_root_node(&document)?.pointee else { return [:] }
        if isNothing(root) { return [:] }
        guard root.type == YAML_MAPPING_NODE else {
            throw wrong(
                path, root.start_mark.line, "this is no mapping; write 'name: value', such as 'stalled: 60'")
        }
        var values: [String: Value] = [:]
        let pairs = root.data.mapping.pairs
        var pair = pairs.start
        while let current = pair, current != pairs.top {
            let (name, value) = try entry(&document, current.pointee, path)
            guard values.updateValue(value, forKey: name) == nil else {
                throw wrong(path, value.line - 1, "'\(name)' is set twice; leave one of them")
            }
            pair = current + 1
        }
        var second = yaml_document_t()
        guard yaml_parser_load(&parser, &second) == 1 else {
            throw wrong(
                path, parser.problem_mark.line, "after the end of the document comes more; leave it out")
        }
        defer { yaml_document_delete(&second) }
        if let more = yaml_document_get_root_node(&second)?.pointee {
            throw wrong(path, more.start_mark.line, "a second document begins; leave one of them")
        }
        return values
    }

    private static func entry(
        _ document: inout yaml_document_t, _ pair: yaml_node_pair_t, _ path: String
    ) throws(Failure) -> (String, Value) {
        guard let key = yaml_document_get_node(&document, pair.key)?.pointee,
            let value = yaml_document_get_node(&document, pair.value)?.pointee
        else { throw wrong(path, 0, "it can't be read") }
        guard let name = text(key) else {
            throw wrong(path, key.start_mark.line, "the name of a setting is no text; write 'name: value'")
        }
        guard let setting = SettingKey.all.first(where: { $0.name == name }) else {
            let nearest = SettingKey.nearest(to: name).name
            throw wrong(
                path, key.start_mark.line,
                "there is no setting '\(name.printable)'; did you mean '\(nearest)'? 'leveret serve --print-config' "
                    + "shows all")
        }
        return (name, Value(texts: try texts(&document, value, of: setting, path), line: line(key)))
    }

    private static func texts(
        _ document: inout yaml_document_t, _ value: yaml_node_t, of setting: SettingKey, _ path: String
    ) throws(Failure) -> [String] {
        let mark = value.start_mark.line
        if isNothing(value) {
            throw wrong(
                path, mark, "\(setting.name) has no value; write \(setting.allowed), or leave the line out")
        }
        if let text = text(value) { return [text] }
        guard value.type == YAML_SEQUENCE_NODE else {
            throw wrong(path, mark, "\(setting.name) is a mapping; write \(setting.allowed)")
        }
        guard setting.kind == .list else {
            throw wrong(path, mark, "\(setting.name) is a list; write \(setting.allowed)")
        }
        var texts: [String] = []
        let items = value.data.sequence.items
        var item = items.start
        while let current = item, current != items.top {
            guard let node = yaml_document_get_node(&document, current.pointee)?.pointee,
                let text = text(node)
            else {
                throw wrong(path, mark, "an item of \(setting.name) is no text; write \(setting.allowed)")
            }
            texts.append(text)
            item = current + 1
        }
        if texts.isEmpty {
            throw wrong(path, mark, "\(setting.name) is an empty list; write \(setting.allowed)")
        }
        return texts
    }

    /// A scalar's text, however it is quoted; `nil` for anything else.
    private static func text(_ node: yaml_node_t) -> String? {
        guard node.type == YAML_SCALAR_NODE, let start = node.data.scalar.value else { return nil }
        return String(
            decoding: UnsafeBufferPointer(start: start, count: node.data.scalar.length), as: UTF8.self)
    }

    /// YAML's null: nothing, or a word for it without quotes.
    private static func isNothing(_ node: yaml_node_t) -> Bool {
        guard let text = text(node), node.data.scalar.style == YAML_PLAIN_SCALAR_STYLE else { return false }
        return ["", "~", "null"].contains(text)
    }

    private static func line(_ node: yaml_node_t) -> Int { Int(clamping: node.start_mark.line) + 1 }

    private static func wrong(_ path: String, _ mark: some BinaryInteger, _ text: String) -> Failure {
        Failure(.usage, "\(path.printable), line \(Int(clamping: mark) + 1): \(text)")
    }
}
