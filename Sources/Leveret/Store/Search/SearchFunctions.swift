// The functions that searches have beyond SQLite's: what reads a message's properties and deaths for the view of
// conditions, and an `instr` whose time grows with the sum of its arguments' lengths and not with their product.

import CSQLite
import LeveretCore

/// SQL functions in Swift.
enum SearchFunctions {
    private typealias Arguments = UnsafeMutablePointer<OpaquePointer?>
    private typealias Function = @convention(c) (OpaquePointer?, Int32, Arguments?) -> Void

    /// Tells SQLite to copy a result.
    private static let copied = unsafeBitCast(-1, to: sqlite3_destructor_type.self)

    /// Makes them known to a connection.
    static func register(on connection: OpaquePointer) throws(StoreFailure) {
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
        ]
        for (name, count, function) in functions {
            let code = sqlite3_create_function_v2(
                connection, name, count, SQLITE_UTF8 | SQLITE_DETERMINISTIC | SQLITE_INNOCUOUS, nil, function,
                nil, nil, nil)
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

    /// SQLite's `instr(haystack, needle)`: where the needle begins, from 1, in characters of text or bytes of blobs.
    private static func position(_ context: OpaquePointer?, _ arguments: Arguments?) {
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
