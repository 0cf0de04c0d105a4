// The options of commands that only read: a server or a file.

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
        if let db { return try FileSource(path: db) }
        do { return ServerSource(try server.connect()) } catch {
            guard error.status == .unreachable else { throw error }
            throw Failure(error.status, "\(error.text); --db FILE reads a database without a server")
        }
    }
}
