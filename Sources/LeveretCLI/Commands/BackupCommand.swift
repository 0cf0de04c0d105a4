// `leveret backup`: a copy of the database file, beside a running server or without one. The copying itself is
// Leveret/Store/DatabaseBackup.swift.

import ArgumentParser
import Leveret

struct BackupCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "backup",
        abstract: "Copy the database to a file, while the server goes on.",
        discussion: """
            Everything that was confirmed before the command began is in the copy, and the copy has been checked. It \
            gets its name only when it is whole. The server is asked where its database is, which must be on this \
            machine; --db names the file where no server runs.

            To restore: stop the server, put the copy in the place of the database, remove what is called like it \
            with -wal, -shm and -lock behind, and start the server.

            Examples:
              leveret backup leveret-monday.db
              leveret backup /mnt/backup/leveret.db --force
              leveret backup copy.db --db leveret.db
            """
    )

    @Argument(help: "The file to write.", completion: .file())
    var file: String
    @Flag(help: "Replace the file, where there is one.")
    var force = false
    @OptionGroup var source: SourceOptions

    func run() throws {
        let inspector = try DatabaseInspector(path: try source.databasePath())
        defer { inspector.close() }
        var progress = Progress(bytesTotal: nil)
        Interrupt.listen()
        let bytes = try inspector.backUp(to: file, replacing: force) { done in
            progress.update(bytes: done.bytesDone, of: done.bytesTotal)
            return !Interrupt.hasCome
        }
        progress.clear()
        guard let bytes else {
            Terminal.complain("leveret: interrupted; nothing is left of the copy")
            return Interrupt.end()
        }
        let (name, original) = (file.printable, inspector.path.printable)
        let size = "\(Quantity.bytes(bytes)) in \(Quantity.seconds(progress.seconds))"
        announce("'\(name)' is a copy of '\(original)', checked: \(size)")
    }
}
