// Looks a database file through without changing it: SQLite's own check, the rules about rows of RowRule.swift, and
// whether everything decodes. All of it sees one moment, so that a broker may go on meanwhile.

public import LeveretCore

extension DatabaseInspector {
    /// Looks the whole file through. Takes as long as it takes to read it; a broker beside it can't empty its
    /// write-ahead log meanwhile.
    ///
    /// What a running broker, or the next one after a crash, is about to tidy up is no fault.
    ///
    /// - Throws: 541 when the file can't be read at all, for another reason than damage to its content.
    public func verify() throws(BrokerError) -> DatabaseFindings {
        let isSettled = !Files.exists(file + "-lock")
        return try stored { () throws(StoreFailure) in
            // Ended by a rollback: on a damaged file even the end of a read may fail.
            try reader.access { database throws(StoreFailure) in
                try database.run("BEGIN")
                var verification = Verification(database: database, isSettled: isSettled)
                try verification.run()
                return verification.findings
            }
        }
    }
}

/// One look through a file.
private struct Verification {
    /// How many rows of a kind are named.
    private static let namedMax = 5

    let database: Database
    let isSettled: Bool
    var findings = DatabaseFindings()

    init(database: Database, isSettled: Bool) {
        self.database = database
        self.isSettled = isSettled
    }

    mutating func run() throws(StoreFailure) {
        let version = try database.number("PRAGMA user_version")
        try surviving { verification throws(StoreFailure) in try verification.checkPages() }
        try surviving { verification throws(StoreFailure) in try verification.count() }
        try checkDefinitions()
        for rule in RowRule.all where version >= rule.since && (isSettled || !rule.isInFlight) {
            try surviving { verification throws(StoreFailure) in try verification.check(rule) }
        }
        try surviving { verification throws(StoreFailure) in try verification.checkContents() }
    }

    /// Does a step; damage that stops it is a fault like any other.
    private mutating func surviving(
        _ step: (inout Verification) throws(StoreFailure) -> Void
    ) throws(StoreFailure) {
        do { try step(&self) } catch {
            guard error.kind == .corrupt else { throw error }
            // The page check has said so, in most cases.
            guard !findings.faults.contains(where: { $0.kind == .pages }) else { return }
            addPageFault(["a page that makes no sense"])
        }
    }

    // MARK: - Steps

    private mutating func checkPages() throws(StoreFailure) {
        let statement = try database.prepared("PRAGMA integrity_check(\(Self.namedMax))")
        defer { statement.reset() }
        var said: [String] = []
        do throws(StoreFailure) {
            while try statement.next() {
                said += statement.text(0).split(separator: "\n").filter { !$0.hasPrefix("***") }.map(
                    String.init)
            }
        } catch {
            // After the first bad page it may be able to say no more.
            guard error.kind == .corrupt, !said.isEmpty else { throw error }
        }
        if said != ["ok"] { addPageFault(said) }
    }

    private mutating func addPageFault(_ said: [String]) {
        findings.faults.append(
            DatabaseFault(
                kind: .pages, count: said.count, text: "SQLite finds damage: \(said.joined(separator: ", "))",
                advice: "restore a backup, or save what can be read with 'sqlite3 FILE .recover'"))
    }

    private mutating func count() throws(StoreFailure) {
        findings.messages = Int(try database.number("SELECT count(*) FROM message"))
        findings.queues = Int(try database.number("SELECT count(*) FROM queue"))
        findings.bytes = Int(
            try database.number("PRAGMA page_count") * database.number("PRAGMA page_size"))
    }

    private mutating func checkDefinitions() throws(StoreFailure) {
        let rows = DefinitionRows(database: database)
        var problems: [String] = []
        func check(_ read: () throws(StoreFailure) -> Void) throws(StoreFailure) {
            do { try read() } catch {
                guard error.kind == .corrupt else { throw error }
                problems.append(error.text)
            }
        }
        try check { () throws(StoreFailure) in _ = try rows.virtualHosts() }
        try check { () throws(StoreFailure) in _ = try rows.exchanges() }
        try check { () throws(StoreFailure) in _ = try rows.queues() }
        try check { () throws(StoreFailure) in _ = try rows.bindings() }
        try check { () throws(StoreFailure) in _ = try rows.policies() }
        guard !problems.isEmpty else { return }
        findings.faults.append(
            DatabaseFault(
                kind: .definitions, count: problems.count, text: problems.joined(separator: "; "),
                advice: "a broker does not start on this file"))
    }

    private mutating func check(_ rule: RowRule) throws(StoreFailure) {
        let statement = try database.prepared(rule.query)
        defer { statement.reset() }
        var names: [String] = []
        var count = 0
        while try statement.next() {
            count += 1
            if names.count < Self.namedMax { names.append(statement.text(0)) }
        }
        add(rule.kind, count, names, rule.title, rule.advice)
    }

    private mutating func add(
        _ kind: DatabaseFault.Kind, _ count: Int, _ names: [String], _ title: String, _ advice: String
    ) {
        guard count > 0 else { return }
        let more = count > names.count ? " and \(count - names.count) more" : ""
        let text = "\(title): \(names.joined(separator: ", "))\(more)"
        findings.faults.append(DatabaseFault(kind: kind, count: count, text: text, advice: advice))
    }

    private mutating func checkContents() throws(StoreFailure) {
        let statement = try database.prepared(
            """
            SELECT id, properties, headers, deaths FROM message
            WHERE properties IS NOT NULL OR headers IS NOT NULL OR deaths IS NOT NULL
            """
        )
        defer { statement.reset() }
        var names: [String] = []
        var count = 0
        while try statement.next() {
            guard let problem = Self.problem(with: statement) else { continue }
            count += 1
            if names.count < Self.namedMax { names.append("\(statement.int(0)) (\(problem))") }
        }
        add(
            .contents, count, names, "messages of which a part doesn't decode",
            "a broker delivers them with what does not decode as a header 'x-unreadable-…'; mend them there, or "
                + "restore a backup")
    }

    /// What of a message's row doesn't decode.
    private static func problem(with row: Prepared) -> String? {
        do throws(BrokerError) {
            if !row.isNull(1) { _ = try PropertiesCodec.decode(row.bytes(1)) }
            if let headers = row.optionalText(2) { _ = try JSONText.readTable(headers) }
            if let deaths = row.optionalText(3) { _ = try DeathHistory(jsonText: deaths) }
            return nil
        } catch { return error.text }
    }
}
