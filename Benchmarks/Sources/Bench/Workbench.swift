// Where cases run: a folder for their files, the server program, and servers that are ended with them.

import Foundation
import LineLoad

/// Makes servers and files for cases.
struct Workbench {
    /// Everything a case writes goes here; emptied between cases.
    let folder: String
    /// The program `leveret`.
    let program: String

    /// A path for a file of this name.
    func path(_ name: String) -> String { "\(folder)/\(name)" }

    /// Runs `body` with a server on a new, empty database, which is ended afterwards; see `start`.
    func withServer<Result>(
        of other: String? = nil, _ body: (Server) async throws -> Result
    ) async throws -> Result {
        clean()
        defer { clean() }
        let server = try start(other)
        defer { server.stop(signal: SIGKILL) }
        return try await body(server)
    }

    /// Starts a server on the database of this case; `other` is another program than this one.
    func start(_ other: String? = nil) throws -> Server {
        let program = other ?? self.program
        let arguments = [program, "serve", "--db", path("bench.db"), "--listen", "127.0.0.1:0"]
        var found = line_server()
        var pointers = arguments.map { strdup($0) } + [nil]
        defer { for pointer in pointers { free(pointer) } }
        guard line_server_start(&pointers, path("bench.log"), &found) else {
            let log = (try? String(contentsOfFile: path("bench.log"), encoding: .utf8)) ?? ""
            throw BenchmarkFailure("the server did not start: \(log)")
        }
        return Server(started: found)
    }

    /// Removes what a case left.
    func clean() {
        for name in (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? [] {
            try? FileManager.default.removeItem(atPath: path(name))
        }
    }

    /// Bytes of a file and its companions.
    func bytes(of name: String) -> Int {
        (try? FileManager.default.attributesOfItem(atPath: path(name)))?[.size] as? Int ?? 0
    }
}

/// A server that runs.
final class Server {
    let started: line_server
    private var isRunning = true

    init(started: line_server) { self.started = started }

    /// Ends it and waits until it is gone; once.
    func stop(signal: Int32) {
        guard isRunning else { return }
        isRunning = false
        withUnsafePointer(to: started) { line_server_stop($0, signal) }
    }

    /// Sends requests, pipelined; all must be answered with OK.
    func ask(_ requests: [String]) throws {
        let text = requests.map { $0 + "\n" }.joined()
        var error = [CChar](repeating: 0, count: 256)
        guard line_ask(started.port, text, Int64(text.utf8.count), Int64(requests.count), &error) else {
            throw BenchmarkFailure(Self.text(error))
        }
    }

    /// Puts a load on it.
    func run(_ load: Load) throws -> line_result {
        var result = line_result()
        let keys = load.keys.map { UnsafePointer(strdup($0)) }
        let queues = load.queues.map { UnsafePointer(strdup($0)) }
        let options = load.options.map { UnsafePointer(strdup(" " + $0)) }
        let exchange = strdup(load.exchange)
        defer {
            for pointer in keys + queues + options { free(UnsafeMutablePointer(mutating: pointer)) }
            free(exchange)
        }
        let isDone = keys.withUnsafeBufferPointer { keys in
            queues.withUnsafeBufferPointer { queues in
                options.withUnsafeBufferPointer { options in
                    var description = load.description
                    description.port = started.port
                    description.exchange = UnsafePointer(exchange)
                    description.keys = keys.baseAddress
                    description.key_count = Int32(keys.count)
                    description.options = options.baseAddress
                    description.option_count = Int32(options.count)
                    description.queues = queues.baseAddress
                    description.queue_count = Int32(queues.count)
                    return line_load_run(&description, &result)
                }
            }
        }
        guard isDone else {
            throw BenchmarkFailure(
                withUnsafeBytes(of: result.error) { Self.text($0.map { CChar(bitPattern: $0) }) })
        }
        return result
    }

    /// What stands before the first zero.
    private static func text(_ bytes: [CChar]) -> String {
        String(decoding: bytes.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    /// Resident memory in MiB.
    var residentMiB: Double {
        let status = (try? String(contentsOfFile: "/proc/\(started.pid)/status", encoding: .utf8)) ?? ""
        let line = status.split(separator: "\n").first { $0.hasPrefix("VmRSS") } ?? ""
        return (Double(line.filter(\.isNumber)) ?? 0) / 1_024
    }

    /// Processor time used so far, in seconds.
    var processorSeconds: Double {
        let line = (try? String(contentsOfFile: "/proc/\(started.pid)/stat", encoding: .utf8)) ?? ""
        let fields = line.drop { $0 != ")" }.split(separator: " ")
        guard fields.count > 13, let user = Double(fields[12]), let system = Double(fields[13]) else {
            return 0
        }
        return (user + system) / Double(sysconf(Int32(_SC_CLK_TCK)))
    }
}

/// A load in Swift's terms; what isn't said is one producer of durable 1 KiB messages into the queue `q`.
struct Load {
    var messages = 0
    var size: Int32 = 1_024
    var producers: Int32 = 1
    var firstProducer: Int32 = 0
    var window: Int32 = 1_000
    var rate = 0.0
    var transient = false
    var exchange = ""
    var keys = ["q"]
    /// Of PUB, taken in turn.
    var options: [String] = []
    var ids = LINE_NO_IDS
    var unordered = false
    var routed: Int32 = 1
    var consumers: Int32 = 0
    var queues = ["q"]
    var prefetch: Int32 = 1_000
    var ack = LINE_ACK_EACH
    var lag = 0
    /// How many deliveries to wait for; `nil` is one for each message.
    var deliveries: Int?

    var description: line_load {
        var load = line_load()
        load.producers = producers
        load.first_producer = firstProducer
        load.messages = Int64(messages)
        load.size = size
        load.window = window
        load.rate = rate
        load.transient = transient
        load.ids = ids
        load.unordered = unordered
        load.routed = routed
        load.consumers = consumers
        load.prefetch = prefetch
        load.ack = ack
        load.deliveries = Int64(deliveries ?? (consumers > 0 ? messages : 0))
        load.lag = Int64(lag)
        load.seconds_max = 300
        return load
    }
}
