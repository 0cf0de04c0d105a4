// Watches over what somebody else has written while SQLite compiles and runs it: what it may touch, how long it may
// take, how much memory. One for each connection of a search; it says no, GuardedDatabase says why.
//
// What may be seen is decided here and nowhere else: `tables` is the list for queries, which only administrators may
// ask, and a condition sees the columns of one view. Users and their permissions are in neither.

import CSQLite

/// Says what a statement may do, and when it has done enough.
final class QueryWatch {
    /// Whose statement is compiled or run.
    enum Trust {
        /// The store's own.
        case ours
        /// A condition over the columns of this view, whose name nobody can guess.
        case condition(view: String)
        /// A query.
        case query
    }

    /// Why a statement was stopped while it ran.
    enum Stop {
        case time
        case memory
        case ending
    }

    /// A callback comes after so many steps of SQLite's machine: one step may make a value of the greatest length.
    private static let stepsBetweenLooks: Int32 = 100

    var trust = Trust.ours
    /// Why the statement being compiled is refused.
    private(set) var denial: String?
    /// Why a statement was stopped.
    private(set) var stop: Stop?
    private let deadline: ContinuousClock.Instant
    private let memoryMax: Int64
    /// SQLite counts over the whole process: what others give back meanwhile makes no room for this one.
    private var leastMemory = sqlite3_memory_used()
    private let isEnding: () -> Bool
    private var selects = 0

    init(deadline: ContinuousClock.Instant, memoryMax: Int, isEnding: @escaping () -> Bool) {
        self.deadline = deadline
        self.memoryMax = Int64(memoryMax)
        self.isEnding = isEnding
    }

    /// Watches `connection`, which must not outlive this object.
    func watch(_ connection: OpaquePointer) {
        let context = Unmanaged.passUnretained(self).toOpaque()
        sqlite3_set_authorizer(
            connection,
            { context, action, first, second, database, view in
                guard let context else { return SQLITE_DENY }
                func text(_ pointer: UnsafePointer<CChar>?) -> String? { pointer.map { String(cString: $0) } }
                let watch = Unmanaged<QueryWatch>.fromOpaque(context).takeUnretainedValue()
                return watch.allows(action, text(first), text(second), within: text(view))
                    ? SQLITE_OK : SQLITE_DENY
            },
            context)
        sqlite3_progress_handler(
            connection, Self.stepsBetweenLooks,
            { context in
                guard let context else { return 1 }
                return Unmanaged<QueryWatch>.fromOpaque(context).takeUnretainedValue().mayGoOn() ? 0 : 1
            },
            context)
    }

    /// A statement is about to be compiled.
    func begin(_ trust: Trust) {
        self.trust = trust
        denial = nil
        selects = 0
    }

    /// False once it has done enough: then `stop` says of what.
    func mayGoOn() -> Bool {
        if case .ours = trust { return true }
        let memory = sqlite3_memory_used()
        leastMemory = min(leastMemory, memory)
        if isEnding() {
            stop = .ending
        } else if ContinuousClock.now >= deadline {
            stop = .time
        } else if memory - leastMemory > memoryMax {
            stop = .memory
        }
        return stop == nil
    }

    // MARK: What is allowed

    private func allows(_ action: Int32, _ first: String?, _ second: String?, within view: String?) -> Bool {
        switch trust {
        case .ours: return true
        case .condition(let own): return allowsInCondition(action, first, second, view, own)
        case .query: return allowsInQuery(action, first, second)
        }
    }

    /// What stands in the view is the store's; else a condition names columns of the view and calls functions.
    private func allowsInCondition(
        _ action: Int32, _ first: String?, _ second: String?, _ view: String?, _ own: String
    ) -> Bool {
        if view == own { return true }
        switch action {
        case SQLITE_SELECT:
            selects += 1
            // The one around it is the store's.
            return selects == 1 || deny("a condition has no SELECT in it; SQL takes a whole query")
        case SQLITE_READ:
            // SQLite puts the view's tables in its place, and asks for those of which no column is wanted.
            let isOwn = first == own || (second == "" && Self.ownTables.contains(first ?? ""))
            return isOwn || deny("a condition reads the fields of one message, no tables")
        case SQLITE_FUNCTION: return allows(function: second, of: Self.functions)
        default: return deny("a condition is one expression that changes nothing")
        }
    }

    private func allowsInQuery(_ action: Int32, _ first: String?, _ second: String?) -> Bool {
        switch action {
        case SQLITE_SELECT: return true
        case SQLITE_READ:
            let table = first ?? ""
            if Self.tables.contains(table) { return true }
            let names = Self.tables.sorted().joined(separator: ", ")
            return deny("table '\(table)' is not to be read; there are \(names)")
        case SQLITE_FUNCTION: return allows(function: second, of: Self.queryFunctions)
        case SQLITE_RECURSIVE: return deny("WITH RECURSIVE is not allowed")
        default: return deny("a query is one SELECT: nothing is written, attached or set")
        }
    }

    private func allows(function: String?, of known: Set<String>) -> Bool {
        let name = (function ?? "").lowercased()
        return known.contains(name)
            || deny("function '\(name)' is not allowed; there are \(Self.listed(known))")
    }

    private func deny(_ text: String) -> Bool {
        if denial == nil { denial = text }
        return false
    }

    /// The names of functions, for people.
    static func listed(_ functions: Set<String>) -> String { functions.sorted().joined(separator: ", ") }

    /// What queries may read (docs/database.md), and JSON's arrays and objects as tables.
    static let tables: Set<String> = [
        "binding", "body", "dead_letters", "dedup", "dedup_id", "dedup_run", "dedup_scope", "delayed",
        "exchange", "held", "message", "message_view",
        "meta", "paused", "policy", "queue", "queue_depth", "unacked", "vhost", "json_each", "json_tree",
    ]

    /// What the view of conditions is made of.
    private static let ownTables: Set<String> = ["message", "body", "held", "noted"]

    /// What conditions may call: nothing that makes much of little or takes long over one value, since SQLite looks
    /// at the clock between steps only. So `printf`, `randomblob`, `replace`, `trim` and JSON's editing are missing.
    static let functions: Set<String> = [
        "abs", "char", "coalesce", "glob", "hex", "ifnull", "iif", "instr", "length", "like", "lower", "max",
        "min", "nullif", "quote", "round", "sign", "substr", "substring", "typeof", "unicode", "upper",
        "date", "datetime", "julianday", "strftime", "time", "unixepoch",
        "->", "->>", "json", "json_array_length", "json_extract", "json_quote", "json_type", "json_valid",
        "ceil", "exp", "floor", "ln", "log", "mod", "pow", "sqrt", "trunc",
    ]

    /// What queries may call.
    static let queryFunctions = functions.union([
        "avg", "count", "group_concat", "json_array", "json_group_array", "json_group_object", "json_object",
        "sum", "total", "cume_dist", "dense_rank", "first_value", "lag", "last_value", "lead", "nth_value",
        "ntile", "percent_rank", "rank", "row_number",
    ])
}
