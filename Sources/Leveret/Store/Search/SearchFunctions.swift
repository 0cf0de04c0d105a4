// The functions that searches have beyond SQLite's: what reads a message's properties and deaths for the view of
// conditions, an `instr` whose time grows with the sum of its arguments' lengths and not with their product, and a
// `like` and a `glob` that are SQLite's but for a bound on that product and a look at the time before each call.

import CSQLite
import LeveretCore

/// SQL functions in Swift.
enum SearchFunctions {
    private typealias Arguments = UnsafeMutablePointer<OpaquePointer?>
    private typealias Function = @convention(c) (OpaquePointer?, Int32, Arguments?) -> Void

    /// Tells SQLite to copy a result.
    private static let copied = unsafeBitCast(-1, to: sqlite3_destructor_type.self)

    /// The most that the length of a pattern times that of a text may be: about a tenth of a second.
    private static let matchStepsMax = 64 << 20
    /// Bytes of a pattern.
    private static let patternBytesMax = 256

    /// Makes them known to a connection, which must not outlive `watch`.
    static func register(on connection: OpaquePointer, _ watch: QueryWatch) throws(StoreFailure) {
        let functions: [(String, Int32, Function)] = [
            (
                "message_priority", 1,
                { context, _, arguments in SearchFunctions.priority(context, arguments) }
            ),
            (
                "message_properties", 1,
                { context, _, arguments in SearchFunctions.properties(context, arguments) }
            ),
            ("message_deaths", 1, { context, _, arguments in SearchFunctions.deaths(context, arguments) }),
            ("instr", 2, { context, _, arguments in SearchFunctions.position(context, arguments) }),
            ("glob", 2, { context, _, arguments in SearchFunctions.matches(context, arguments, .glob) }),
            ("like", 2, { context, _, arguments in SearchFunctions.matches(context, arguments, .like) }),
            ("like", 3, { context, _, arguments in SearchFunctions.matches(context, arguments, .escaped) }),
        ]
        let context = Unmanaged.passUnretained(watch).toOpaque()
        for (name, count, function) in functions {
            let code = sqlite3_create_function_v2(
                connection, name, count, SQLITE_UTF8 | SQLITE_DETERMINISTIC | SQLITE_INNOCUOUS, context,
                function, nil, nil, nil)
            guard code == SQLITE_OK else { throw StoreFailure(connection: connection) }
        }
    }

    private static func bytes(_ value: OpaquePointer?) -> [UInt8] {
        let start = sqlite3_value_blob(value)
        return [UInt8](UnsafeRawBufferPointer(start: start, count: Int(sqlite3_value_bytes(value))))
    }

    private static func result(_ context: OpaquePointer?, _ text: String) {
        var text = text
        text.withUTF8 { utf8 in
            utf8.withMemoryRebound(to: CChar.self) {
                sqlite3_result_text(context, $0.baseAddress, Int32(clamping: $0.count), copied)
            }
        }
    }

    private static func priority(_ context: OpaquePointer?, _ arguments: Arguments?) {
        guard let (properties, _) = try? PropertiesCodec.decode(bytes(arguments?[0])),
            let priority = properties?.priority
        else { return sqlite3_result_null(context) }
        sqlite3_result_int(context, Int32(priority))
    }

    private static func properties(_ context: OpaquePointer?, _ arguments: Arguments?) {
        // A message without any is persistent and has null.
        let isThere = sqlite3_value_type(arguments?[0]) != SQLITE_NULL
        let decoded = isThere ? try? PropertiesCodec.decode(bytes(arguments?[0])) : nil
        let properties = decoded?.0 ?? MessageProperties()
        let table = properties.listed(isPersistent: decoded?.isPersistent ?? true)
        result(context, JSONText.write(table))
    }

    private static func deaths(_ context: OpaquePointer?, _ arguments: Arguments?) {
        let text = String(decoding: bytes(arguments?[0]), as: UTF8.self)
        guard let history = try? DeathHistory(jsonText: text) else { return sqlite3_result_null(context) }
        result(context, JSONText.write(history.listed))
    }

    /// How a text is compared with a pattern.
    private enum Matching {
        case glob
        case like
        /// The third argument is the character that takes the next one's meaning away.
        case escaped
    }

    /// SQLite's `text GLOB pattern`, `text LIKE pattern` and `text LIKE pattern ESCAPE character`.
    private static func matches(_ context: OpaquePointer?, _ arguments: Arguments?, _ matching: Matching) {
        guard mayGoOn(context), let arguments else {
            return sqlite3_result_error_code(context, SQLITE_INTERRUPT)
        }
        guard let pattern = sqlite3_value_text(arguments[0]), let text = sqlite3_value_text(arguments[1])
        else {
            return sqlite3_result_null(context)
        }
        let patternBytes = Int(sqlite3_value_bytes(arguments[0]))
        let textBytes = Int(sqlite3_value_bytes(arguments[1]))
        guard patternBytes <= patternBytesMax else {
            return fail(
                context, "LIKE or GLOB pattern too complex: it has more than \(patternBytesMax) bytes")
        }
        guard patternBytes * textBytes <= matchStepsMax else {
            return fail(
                context,
                "a pattern of \(patternBytes) bytes takes too long on a text of \(textBytes); shorten it")
        }
        var escape: UInt32 = 0
        if case .escaped = matching {
            guard let character = sqlite3_value_text(arguments[2]) else {
                return sqlite3_result_null(context)
            }
            let scalars = String(cString: character).unicodeScalars
            guard let first = scalars.first, scalars.count == 1 else {
                return fail(context, "ESCAPE expression must be a single character")
            }
            escape = first.value
        }
        let isMatch = pattern.withMemoryRebound(to: CChar.self, capacity: patternBytes + 1) { pattern in
            text.withMemoryRebound(to: CChar.self, capacity: textBytes + 1) { text in
                if case .glob = matching { return sqlite3_strglob(pattern, text) == 0 }
                return sqlite3_strlike(pattern, text, escape) == 0
            }
        }
        sqlite3_result_int(context, isMatch ? 1 : 0)
    }

    private static func mayGoOn(_ context: OpaquePointer?) -> Bool {
        guard let watch = sqlite3_user_data(context) else { return false }
        return Unmanaged<QueryWatch>.fromOpaque(watch).takeUnretainedValue().mayGoOn()
    }

    private static func fail(_ context: OpaquePointer?, _ text: String) {
        sqlite3_result_error(context, text, -1)
    }

    /// SQLite's `instr(haystack, needle)`: where the needle begins, from 1, in characters of text or bytes of blobs.
    private static func position(_ context: OpaquePointer?, _ arguments: Arguments?) {
        guard mayGoOn(context) else { return sqlite3_result_error_code(context, SQLITE_INTERRUPT) }
        guard let arguments, sqlite3_value_type(arguments[0]) != SQLITE_NULL,
            sqlite3_value_type(arguments[1]) != SQLITE_NULL
        else { return sqlite3_result_null(context) }
        let areBlobs =
            sqlite3_value_type(arguments[0]) == SQLITE_BLOB && sqlite3_value_type(arguments[1]) == SQLITE_BLOB
        // Numbers become texts by the first call.
        let haystack = sqlite3_value_blob(arguments[0])
        let haystackCount = Int(sqlite3_value_bytes(arguments[0]))
        let needle = sqlite3_value_blob(arguments[1])
        let needleCount = Int(sqlite3_value_bytes(arguments[1]))
        guard needleCount > 0 else { return sqlite3_result_int(context, 1) }
        guard let haystack, let found = memmem(haystack, haystackCount, needle, needleCount) else {
            return sqlite3_result_int(context, 0)
        }
        let before = UnsafeRawBufferPointer(start: haystack, count: UnsafeRawPointer(found) - haystack)
        let place = areBlobs ? before.count : before.count { $0 & 0xC0 != 0x80 }
        sqlite3_result_int64(context, Int64(place) + 1)
    }
}
