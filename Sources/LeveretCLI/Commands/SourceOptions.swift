// The options of commands that only read: a server or a file, and a virtual host there.

import ArgumentParser

/// `--url` or `--db`.
struct SourceOptions: ParsableArguments {
    @OptionGroup var server: ServerOptions

    @Option(
        help: ArgumentHelp(
            "Read this database file instead, beside a running server or without one.",
            valueName: "file"
        )
    )
    var db: String?

    func validate() throws {
        if db != nil, server.url != nil { throw ValidationError("Say --url or --db, not both.") }
    }

    /// What they name, ready to be asked.
    func open() throws(Failure) -> any Source {
        if let db { return try FileSource(path: db, virtualHost: server.vhost ?? "/") }
        return try hinting { () throws(Failure) in ServerSource(try server.connect()) }
    }

    /// The same where no virtual host counts, or all do.
    func openAnywhere() throws(Failure) -> any Source {
        if let db { return try FileSource(path: db) }
        return try hinting { () throws(Failure) in ServerSource(try server.connectAnywhere()) }
    }

    /// The virtual host that was named; `nil` where none was.
    var virtualHost: String? {
        get throws(Failure) { try db == nil ? server.target.named : server.vhost }
    }

    private func hinting(_ open: () throws(Failure) -> ServerSource) throws(Failure) -> any Source {
        do { return try open() } catch {
            guard error.status == .unreachable else { throw error }
            throw Failure(error.status, "\(error.text); --db FILE reads a database without a server")
        }
    }

    /// The database file that they name: `--db`, or that of a server on this machine.
    ///
    /// - Throws: `Failure`, saying what to do, where the server's file can't be reached from here.
    func databasePath() throws -> String {
        if let db { return db }
        let path = try openAnywhere().status()["database"]?.text ?? ""
        let address = try server.target.address
        guard !path.isEmpty else {
            throw Failure(.refused, "the server at \(address) keeps nothing in a file")
        }
        let there = "run this on the machine of the server, or name a file with --db"
        guard address.isThisMachine else {
            throw Failure(.refused, "the database of \(address) is a file on another machine; \(there)")
        }
        guard Input.exists(path) else {
            let what = "the database of \(address) is '\(path.printable)', which can't be seen from here"
            throw Failure(.notFound, "\(what); \(there)")
        }
        return path
    }
}
