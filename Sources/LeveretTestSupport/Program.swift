// Runs the programs that the package builds, as a person would. Used by the tests of the command line, of
// the examples and of crashes; they stand beside the test runner, so nothing is looked up in PATH.

package import Foundation

/// What a program did.
package struct ProgramResult: Sendable {
    /// Its exit status; of a program that a signal ended, the signal.
    package var status: Int32
    /// Everything it wrote to standard output.
    package var output: String
    /// Everything it wrote to standard error.
    package var errors: String
}

/// A program of the package that a test starts and ends.
package final class Program {
    private let process: ChildProcess
    private let input = Pipe.closedInPrograms()
    private let output = Pipe.closedInPrograms()
    private let errors: URL

    /// Starts `name` of the package, or a program anywhere if `name` is a path. The environment is the
    /// test's own with `environment` laid over it.
    package init(
        _ name: String, _ arguments: [String] = [], environment: [String: String] = [:], folder: URL? = nil
    ) throws {
        // A program that ends before it has read everything must not end the test run.
        _ = signal(SIGPIPE, SIG_IGN)
        errors = FileManager.default.temporaryDirectory.appending(
            path: "leveret-test-\(UUID().uuidString).err")
        _ = FileManager.default.createFile(atPath: errors.path(), contents: nil)
        let path = name.contains("/") ? name : Self.folder.appending(path: name).path()
        process = try ChildProcess(
            path, arguments, environment: ProcessInfo.processInfo.environment.merging(environment) { $1 },
            folder: folder?.path(), input: input.fileHandleForReading, output: output.fileHandleForWriting,
            errors: FileHandle(forWritingTo: errors))
        // Its ends of the pipes are its own.
        try input.fileHandleForReading.close()
        try output.fileHandleForWriting.close()
    }

    deinit {
        try? FileManager.default.removeItem(at: errors)  // the system's to clean if this fails
    }

    /// Where SwiftPM puts what it builds.
    package static var folder: URL {
        URL(filePath: CommandLine.arguments[0]).resolvingSymlinksInPath().deletingLastPathComponent()
    }

    /// What it wrote to standard error so far.
    package var errorText: String { (try? String(contentsOf: errors, encoding: .utf8)) ?? "" }

    /// Its process number.
    package var id: Int32 { process.id }

    /// Hands it bytes on standard input; what a program that has ended doesn't read is lost, as in a pipe.
    package func write(_ text: String) throws {
        try? input.fileHandleForWriting.write(contentsOf: Data(text.utf8))  // it may have gone first
    }

    /// Waits for the next line of its standard output; `nil` when it closed it.
    package func readLine() -> String? {
        var line: [UInt8] = []
        while let byte = output.fileHandleForReading.readData(ofLength: 1).first {
            if byte == UInt8(ascii: "\n") { return String(decoding: line, as: UTF8.self) }
            line.append(byte)
        }
        return line.isEmpty ? nil : String(decoding: line, as: UTF8.self)
    }

    /// Sends it a signal.
    package func kill(_ signal: Int32) { process.kill(signal) }

    /// Ends its standard input, takes the rest of its output and waits until it is gone.
    package func finish() -> ProgramResult {
        try? input.fileHandleForWriting.close()  // it may have gone first
        let rest = output.fileHandleForReading.readDataToEndOfFile()
        return ProgramResult(
            status: process.waitUntilExit(), output: String(decoding: rest, as: UTF8.self), errors: errorText
        )
    }
}

/// Runs `work` on a thread of its own, so that waiting for a program holds up no other test.
package func onOwnThread<Result: Sendable>(
    _ work: @escaping @Sendable () throws -> Result
) async throws -> Result {
    try await withCheckedThrowingContinuation { continuation in
        Thread { continuation.resume(with: Swift.Result(catching: work)) }.start()
    }
}

/// Runs a program of the package to its end, with `input` as its standard input.
package func runProgram(
    _ name: String, _ arguments: [String] = [], input: String = "", environment: [String: String] = [:],
    folder: URL? = nil
) async throws -> ProgramResult {
    try await onOwnThread {
        let program = try Program(name, arguments, environment: environment, folder: folder)
        try program.write(input)
        return program.finish()
    }
}
