// A real `leveret serve` on a port of its own, for tests that need the whole program: the command line, the
// examples and the crash tests.

/// Why a server did not start.
package struct ServerDidNotStart: Error, CustomStringConvertible {
    /// What it said.
    package var description: String
}

/// A running server process. It is killed when nobody holds it any more.
package final class ServerProcess {
    /// The process.
    package let program: Program
    /// The port it listens on, on 127.0.0.1.
    package let port: UInt16

    /// Starts a server on the database at `database` and waits until it listens.
    package init(database: String, arguments: [String] = []) throws {
        let serve = ["serve", "--db", database, "--listen", "127.0.0.1:0"] + arguments
        program = try Program("leveret", serve)
        while let line = program.readLine() {
            guard let range = line.firstRange(of: "listening on ") else { continue }
            let address = line[range.upperBound...].prefix { $0 != " " && $0 != "," }
            guard let port = address.split(separator: ":").last.flatMap({ UInt16($0) }) else { break }
            self.port = port
            return
        }
        throw ServerDidNotStart(description: "leveret serve did not listen: \(program.finish().errors)")
    }

    /// What `--url` takes.
    package var url: String { "leveret://127.0.0.1:\(port)" }

    /// Ends it as `kill -9` does and waits until it is gone.
    package func crash() {
        program.kill(9)
        _ = program.finish()
    }

    /// Ends it as `kill` does; it drains first. The result has what it wrote.
    package func stop() -> ProgramResult {
        program.kill(15)
        return program.finish()
    }
}
