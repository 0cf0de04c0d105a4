// A connection for one search: read-only, its own, watched, with SQLite's limits drawn in. It compiles what somebody
// else has written and says in words what is wrong with it.

import CSQLite
import LeveretCore

/// What a search may use.
struct SearchBounds {
    var limits: CoreLimits
    var deadline: ContinuousClock.Instant
    var isEnding: () -> Bool

    /// The bounds of a search that begins now.
    init(_ limits: CoreLimits, isEnding: @escaping () -> Bool = { false }) {
        self.limits = limits
        self.isEnding = isEnding
        deadline = .now + .milliseconds(limits.queryMillisecondsMax)
    }
}

/// One connection, for what is not trusted.
final class GuardedDatabase {
    /// What somebody else has written, and how errors speak of it.
    struct Foreign {
        var text: String
        /// `where` or `the query`.
        var name: String
        /// The names to offer when one is unknown.
        var columns: [String] = []
    }

    /// Expressions that a query may unfold to.
    private static let unfoldedMax = 250_000

    let database: Database
    private let watch: QueryWatch
    private let bounds: SearchBounds
    /// Bytes of one value in the statement compiled last.
    private var valueBytesMax = 0

    /// Opens the file at `path` for reading, or with `nil` an empty database in memory.
    init(path: String?, _ bounds: SearchBounds) throws(StoreFailure) {
        self.bounds = bounds
        watch = QueryWatch(
            deadline: bounds.deadline, memoryMax: bounds.limits.queryMemoryMax, isEnding: bounds.isEnding)
        // What is sorted or gathered stays in memory, where it is counted: a full disk is deadly.
        let options = Database.Options(
            isReadOnly: path != nil, isInMemory: path == nil, busyMilliseconds: Schema.busyMilliseconds,
            preparation: "PRAGMA temp_store = MEMORY; PRAGMA cell_size_check = ON;")
        database = try Database(path: path ?? "", options)
        let connection = database.sqliteConnection
        for option in [
            SQLITE_DBCONFIG_TRUSTED_SCHEMA, SQLITE_DBCONFIG_ENABLE_TRIGGER,
            SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, SQLITE_DBCONFIG_ENABLE_FTS3_TOKENIZER,
            SQLITE_DBCONFIG_DQS_DML, SQLITE_DBCONFIG_DQS_DDL,
        ] { leveret_sqlite_set(connection, Int32(option), 0) }
        leveret_sqlite_set(connection, Int32(SQLITE_DBCONFIG_DEFENSIVE), 1)
        for (limit, most) in [
            (SQLITE_LIMIT_SQL_LENGTH, 65_536), (SQLITE_LIMIT_COLUMN, 256), (SQLITE_LIMIT_EXPR_DEPTH, 100),
            (SQLITE_LIMIT_COMPOUND_SELECT, 16), (SQLITE_LIMIT_VDBE_OP, 25_000),
            (SQLITE_LIMIT_FUNCTION_ARG, 32), (SQLITE_LIMIT_ATTACHED, 0),
            (SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 256), (SQLITE_LIMIT_TRIGGER_DEPTH, 1),
            (SQLITE_LIMIT_WORKER_THREADS, 0),
        ] { sqlite3_limit(connection, limit, Int32(most)) }
        try SearchFunctions.register(on: connection, watch)
        watch.watch(connection)
    }

    /// Sees that queries find JSON's tables.
    func prepareForQueries() throws(StoreFailure) {
        watch.trust = .ours
        // SQLite makes these tables when they are first named, which looks like a write.
        for table in ["json_each", "json_tree"] { _ = try database.number("SELECT 1 FROM \(table)('[]')") }
    }

    /// Runs what the store itself wants, without limits on time and sizes.
    func trusting<T>(_ work: (Database) throws(StoreFailure) -> T) throws(StoreFailure) -> T {
        watch.trust = .ours
        let connection = database.sqliteConnection
        let before = sqlite3_limit(connection, SQLITE_LIMIT_LENGTH, Int32.max)
        defer { sqlite3_limit(connection, SQLITE_LIMIT_LENGTH, before) }
        return try work(database)
    }

    // MARK: Compiling

    /// Compiles `before` + the foreign text + `after`: one statement that reads, without parameters.
    func compile(
        _ before: String, _ foreign: Foreign, _ after: String, as trust: QueryWatch.Trust
    ) throws(BrokerError) -> ForeignStatement {
        if foreign.text.utf8.contains(0) {
            throw BrokerError(.syntaxError, "\(foreign.name) has a character of code 0 in it; take it out")
        }
        try check(QueryText(foreign.text), foreign, trust)
        limitValues(to: bounds.limits.queryValueBytesMax)
        watch.begin(trust)
        let start = before.utf8.count
        let sql = Array((before + foreign.text + after).utf8CString.dropLast())
        let compiled = try sql.withUnsafeBufferPointer { sql throws(BrokerError) in
            let (compiled, end) = try prepare(sql, from: 0, foreign, start)
            // Comments and semicolons behind it are no statement.
            guard try prepare(sql, from: end, foreign, start).0 == nil else {
                throw BrokerError(
                    .syntaxError, "\(foreign.name) holds more than one statement; ask them one by one")
            }
            return compiled
        }
        guard let compiled else {
            throw BrokerError(.syntaxError, "\(foreign.name) is empty; give an expression")
        }
        let statement = compiled.statement
        guard sqlite3_bind_parameter_count(statement) == 0 else {
            throw BrokerError(
                .syntaxError, "\(foreign.name) has a parameter (?, :name) in it; write the value")
        }
        guard sqlite3_stmt_isexplain(statement) == 0 else {
            throw BrokerError(.accessRefused, "\(foreign.name) is an EXPLAIN; it must be one SELECT")
        }
        guard sqlite3_stmt_readonly(statement) != 0, sqlite3_column_count(statement) > 0 else {
            throw BrokerError(.accessRefused, "\(foreign.name) does not read; it must be one SELECT")
        }
        // SQLite makes all values of a row before anybody can look at how much they take.
        let columns = Int(sqlite3_column_count(statement))
        limitValues(to: min(bounds.limits.queryValueBytesMax, bounds.limits.queryMemoryMax / 2 / columns))
        return compiled
    }

    private func limitValues(to bytes: Int) {
        valueBytesMax = bytes
        sqlite3_limit(database.sqliteConnection, SQLITE_LIMIT_LENGTH, Int32(clamping: bytes))
    }

    /// Refuses what SQLite had better not begin to compile.
    private func check(
        _ text: QueryText, _ foreign: Foreign, _ trust: QueryWatch.Trust
    ) throws(BrokerError) {
        if case .condition = trust, let (word, offset) = text.firstQueryWord {
            throw BrokerError(
                .accessRefused,
                "\(foreign.name) is refused at character \(character(at: offset, of: foreign)): a condition has no "
                    + "\(word.uppercased()) in it; SQL takes a whole query")
        }
        if case .condition = trust, let (name, offset) = text.firstHiddenName {
            throw wrong(foreign, "no such column: \(name)", at: offset)
        }
        if let offset = text.firstWith {
            throw BrokerError(
                .accessRefused,
                "\(foreign.name) is refused at character \(character(at: offset, of: foreign)): WITH is not allowed; "
                    + "write what it names where it is used")
        }
        guard text.unfoldedMax <= Self.unfoldedMax else {
            throw BrokerError(
                .preconditionFailed,
                "\(foreign.name) may unfold to more than \(Self.unfoldedMax) expressions; nest less, or name fewer "
                    + "columns in what is nested")
        }
    }

    private func character(at offset: Int, of foreign: Foreign) -> Int {
        String(decoding: foreign.text.utf8.prefix(offset), as: UTF8.self).count + 1
    }

    /// The first statement behind `offset`, `nil` where there is none, and where it ends.
    private func prepare(
        _ sql: UnsafeBufferPointer<CChar>, from offset: Int, _ foreign: Foreign, _ start: Int
    ) throws(BrokerError) -> (ForeignStatement?, Int) {
        guard let base = sql.baseAddress, offset < sql.count else { return (nil, offset) }
        var statement: OpaquePointer?
        var tail: UnsafePointer<CChar>?
        let code = sqlite3_prepare_v2(
            database.sqliteConnection, base + offset, Int32(clamping: sql.count - offset), &statement, &tail)
        guard code == SQLITE_OK else { throw error(foreign, start: start - offset) }
        let compiled = statement.map { ForeignStatement($0, of: self, foreign, start) }
        return (compiled, tail.map { $0 - base } ?? sql.count)
    }

    /// What is wrong, by the connection's last error. `start` is where the foreign text begins in the statement.
    fileprivate func error(_ foreign: Foreign, start: Int) -> BrokerError {
        let connection = database.sqliteConnection
        let said = sqlite3_errmsg(connection).map { String(cString: $0) } ?? "unknown error"
        let code = sqlite3_errcode(connection) & 0xff
        // A function that is denied is a plain error to SQLite.
        if let denial = watch.denial, code == SQLITE_AUTH || code == SQLITE_ERROR {
            return BrokerError(.accessRefused, "\(foreign.name) is refused: \(denial)")
        }
        switch code {
        case SQLITE_INTERRUPT: return stopped(foreign)
        case SQLITE_TOOBIG:
            return BrokerError(
                .preconditionFailed,
                "a value in \(foreign.name) is longer than \(valueBytesMax) bytes; leave it out")
        case SQLITE_NOMEM: return BrokerError(.resourceError, "there is no memory for \(foreign.name)")
        case SQLITE_ERROR, SQLITE_AUTH, SQLITE_MISMATCH, SQLITE_RANGE, SQLITE_CONSTRAINT, SQLITE_READONLY:
            return wrong(foreign, said, at: Int(sqlite3_error_offset(connection)) - start)
        default: return StoreFailure(connection: connection).brokerError
        }
    }

    private func wrong(_ foreign: Foreign, _ said: String, at offset: Int) -> BrokerError {
        let bytes = foreign.text.utf8
        var place = ""
        if said.contains("incomplete input") {
            place = " at its end"
        } else if offset >= 0, offset <= bytes.count {
            place = " at character \(character(at: offset, of: foreign))"
        }
        var hint = ""
        if said.contains("no such column"), !foreign.columns.isEmpty {
            hint = "; the fields are \(foreign.columns.joined(separator: ", "))"
        } else if said.contains("malformed JSON") {
            hint = "; the field json is the body where it is JSON, and else null"
        } else if said.contains("no such table") {
            hint = "; there are \(QueryWatch.tables.sorted().joined(separator: ", "))"
        } else if said.contains("no such function") {
            let isQuery = foreign.columns.isEmpty
            hint =
                "; there are \(QueryWatch.listed(isQuery ? QueryWatch.queryFunctions : QueryWatch.functions))"
        }
        return BrokerError(.syntaxError, "\(foreign.name) is wrong\(place): \(said)\(hint)")
    }

    private func stopped(_ foreign: Foreign) -> BrokerError {
        let limits = bounds.limits
        switch watch.stop {
        case .ending: return .ended
        case .memory:
            return BrokerError(
                .resourceError,
                "\(foreign.name) was stopped: it takes more than \(limits.queryMemoryMax) bytes of memory; sort, "
                    + "group or put together less")
        case .time, nil:
            return BrokerError(
                .resourceError,
                "\(foreign.name) was stopped after \(limits.queryMillisecondsMax) ms; narrow it, begin further "
                    + "behind, or look into fewer bodies")
        }
    }
}

/// A statement that somebody else has written, while it runs.
final class ForeignStatement {
    fileprivate let statement: OpaquePointer
    private let owner: GuardedDatabase
    private let foreign: GuardedDatabase.Foreign
    private let start: Int
    /// Reads the row that `next` came to.
    let row: Prepared

    fileprivate init(
        _ statement: OpaquePointer, of owner: GuardedDatabase, _ foreign: GuardedDatabase.Foreign,
        _ start: Int
    ) {
        self.statement = statement
        self.owner = owner
        self.foreign = foreign
        self.start = start
        row = Prepared(statement)
    }

    deinit { sqlite3_finalize(statement) }

    /// The names of its columns. Throws where two would have one name in a row: what is not text is written as
    /// base64 in a field whose name ends in `64`.
    var columns: [String] {
        get throws(BrokerError) {
            var names: [String] = []
            for index in 0..<sqlite3_column_count(statement) {
                let name = sqlite3_column_name(statement, index).map { String(cString: $0) } ?? ""
                guard !names.contains(name) else {
                    throw BrokerError(
                        .syntaxError,
                        "\(foreign.name) has two columns '\(name)'; give one of them another name with AS")
                }
                names.append(name)
            }
            guard let name = names.first(where: { names.contains("\($0)64") }) else { return names }
            throw BrokerError(
                .syntaxError,
                "\(foreign.name) has columns '\(name)' and '\(name)64', as a '\(name)' that is not text is called; "
                    + "give one of them another name with AS")
        }
    }

    /// Moves on to the next row.
    func next() throws(BrokerError) -> Bool {
        switch sqlite3_step(statement) {
        case SQLITE_ROW: return true
        case SQLITE_DONE: return false
        default: throw owner.error(foreign, start: start)
        }
    }

    /// How many bytes a value of the row is as JSON, without its name.
    func writtenBytes(_ column: Int32) -> Int {
        switch sqlite3_column_type(statement, column) {
        case SQLITE_TEXT:
            guard let start = sqlite3_column_text(statement, column) else { return 0 }
            let text = UnsafeBufferPointer(start: start, count: Int(sqlite3_column_bytes(statement, column)))
            return text.reduce(2) { sum, byte in
                sum + (byte < 0x20 ? 6 : byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\") ? 2 : 1)
            }
        case SQLITE_BLOB: return Int(sqlite3_column_bytes(statement, column)) / 3 * 4 + 6
        default: return 8
        }
    }

    /// A value of the row.
    func value(_ column: Int32) -> FieldValue {
        switch sqlite3_column_type(statement, column) {
        case SQLITE_INTEGER: .int(row.int(column))
        case SQLITE_FLOAT: .double(sqlite3_column_double(statement, column))
        case SQLITE_TEXT: .string(row.text(column))
        case SQLITE_BLOB: .bytes(row.bytes(column))
        default: .void
        }
    }
}
