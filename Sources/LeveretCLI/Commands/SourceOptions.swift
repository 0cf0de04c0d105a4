// The options of commands that work on a server or on a file, and on a virtual host there.

import ArgumentParser
import Leveret

/// `--url`, or `--db` of a file that no server has: of commands that change what is stored.
struct TargetOptions: ParsableArguments {
    @OptionGroup var server: ServerOptions

    @Option(
        help: ArgumentHelp("Change this database file instead, which no server has open.", valueName: "file"),
        completion: .file())
    var db: String?

    func validate() throws {
        if db != nil, server.url != nil { throw ValidationError("Say --url or --db, not both.") }
    }

    /// Connects to the server, or to one of our own on the file, and enters the virtual host.
    func connect() throws(Failure) -> LineClient {
        guard db != nil else { return try server.connect() }
        let client = try connectAnywhere()
        try client.enter(server.vhost ?? "/")
        return client
    }

    /// The same without entering a virtual host.
    func connectAnywhere() throws(Failure) -> LineClient {
        guard let db else { return try server.connectAnywhere() }
        return try LineClient(try FileServer.start(on: db))
    }

    /// The virtual host that was named; `nil` where none was.
    var virtualHost: String? {
        get throws(Failure) { try db == nil ? server.target.named : server.vhost }
    }
}

/// `--url` or `--db`.
struct SourceOptions: ParsableArguments {
    @OptionGroup var server: ServerOptions

    @Option(
        help: ArgumentHelp(
            "Read this database file instead, beside a running server or without one.",
            valueName: "file"
        ),
        completion: .file()
    )
    var db: String?

    func validate() throws {
        if db != nil, server.url != nil { throw ValidationError("Say --url or --db, not both.") }
    }

    /// What they name, ready to be asked.
    func open() throws(Failure) -> any Source {
        if let db { return try FileSource(path: db, virtualHost: server.vhost) }
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

    private func hinting(_ open: () throws(Failure) -> ServerSource) throws(Failure) -> ServerSource {
        do { return try open() } catch {
            guard error.status == .unreachable else { throw error }
            throw Failure(error.status, "\(error.text); --db FILE reads a database without a server")
        }
    }

    /// The database file that they name: `--db`, or that of a server on this machine.
    ///
    /// - Throws: `Failure`, saying what to do, where the server's file can't be reached from here.
    func databasePath() throws -> String {
        switch try place() {
        case .file(let path): return path
        case .server(_, let whyNoFile):
            let there = "run this on the machine of the server, or name a file with --db"
            throw Failure(whyNoFile.status, "\(whyNoFile.text); \(there)")
        }
    }

    /// Where a whole database can be read.
    enum Place {
        /// From its file.
        case file(String)
        /// From this server alone; and why not from its file.
        case server(ServerSource, whyNoFile: Failure)
    }

    /// Where what they name can be read: the file, wherever it can be seen from here.
    func place() throws -> Place {
        if let db { return .file(db) }
        let source = try hinting { () throws(Failure) in ServerSource(try server.connect()) }
        let status = try source.status()
        let path = status["database"]?.text ?? ""
        let address = try server.target.address
        if path.isEmpty {
            return .server(
                source, whyNoFile: Failure(.refused, "the server at \(address) keeps nothing in a file"))
        }
        guard address.isThisMachine else {
            return .server(
                source,
                whyNoFile: Failure(.refused, "the database of \(address) is a file on another machine"))
        }
        let what = "the database of \(address) is '\(path.printable)', which"
        guard Input.canRead(path) else {
            return .server(source, whyNoFile: Failure(.notFound, "\(what) can't be read from here"))
        }
        // The address may be forwarded, or lead into a container: there a file of that name is another.
        guard let id = DatabaseInspector.fileID(of: path), id == status["database_id"]?.text else {
            return .server(source, whyNoFile: Failure(.notFound, "\(what) is another file here"))
        }
        return .file(path)
    }
}
