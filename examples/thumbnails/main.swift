// Small pictures of large ones: work that keeps a processor busy, two at a time, and never two of one album. One
// handler says how far it is, which is seen from outside while it runs; a file that is no picture is given up at once.
//
// The pictures are painted first. All files are in a temporary folder, which is removed at the end.

import Foundation
import Leveret
import LeveretTasks
import Logging
import Synchronization

struct MakeThumbnail: Job {
    /// What it leaves behind.
    struct Output: Codable, Sendable {
        var size: String
        var bytes: Int
    }

    static let name = "make-thumbnail"
    static let options = EnqueueOptions(queue: "pictures")
    /// `coast/1.ppm`.
    var picture: String
}

/// How many run, in all and of each album.
final class Counter: Sendable {
    private let running = Mutex<[String: Int]>([:])
    private let isKept = Mutex(true)

    /// The limits were kept at all times.
    var hasKeptLimits: Bool { isKept.withLock { $0 } }

    func count(_ album: String, _ change: Int) {
        let isFine = running.withLock { running in
            running[album, default: 0] += change
            return running.values.reduce(0, +) <= 2 && running.values.allSatisfy { $0 <= 1 }
        }
        if !isFine { isKept.withLock { $0 = false } }
    }
}

/// Paints three albums of four pictures, and one that is cut off in the middle. Returns their names.
func paint(in folder: URL) throws -> [String] {
    var names: [String] = []
    for (index, album) in ["coast", "forest", "town"].enumerated() {
        try FileManager.default.createDirectory(
            at: folder.appending(path: album), withIntermediateDirectories: true)
        for number in 1...4 {
            let name = "\(album)/\(number).ppm"
            let picture = Picture(painting: 4 * index + number, width: 240, height: 160)
            let isBroken = name == "forest/3.ppm"
            try (isBroken ? picture.ppm.prefix(50_000) : picture.ppm).write(to: folder.appending(path: name))
            names.append(name)
        }
    }
    return names
}

/// A worker that takes two at a time, one of an album. One picture waits in its middle for the first of `looks`.
func makeWorker(
    _ jobs: Jobs, in folder: URL, _ counter: Counter, _ looks: AsyncStream<Void>
) throws -> JobWorker {
    try JobWorker(jobs, queues: ["pictures": .init(concurrency: 2, perKey: 1)]) { handlers in
        handlers.add(MakeThumbnail.self) { job, context in
            let album = String(job.picture.prefix { $0 != "/" })
            counter.count(album, 1)
            defer { counter.count(album, -1) }
            do {
                let large = try Picture(ppm: Data(contentsOf: folder.appending(path: job.picture)))
                let small = try await large.shrunk { row, of in
                    context.progress(Double(row) / Double(of), "row \(row) of \(of)")
                    if job.picture == "town/2.ppm", row == of / 2 { for await _ in looks { break } }
                    // So that a job which computes for long lets others have the thread, and can be cancelled.
                    await Task.yield()
                    try Task.checkCancellation()
                }
                let file = folder.appending(path: job.picture + ".small")
                try small.ppm.write(to: file, options: .atomic)
                return .init(size: "\(small.width) × \(small.height)", bytes: small.ppm.count)
            } catch let error as NoPicture {
                // It will be no better the next time.
                throw JobExit.discard(error.text)
            }
        }
    }
}

/// Waits until this job is in its middle, and shows how it stands there.
func look(at id: JobID, _ jobs: Jobs) async throws {
    while true {
        let job = try await jobs.find(id)
        if let job, job.state == .running, let progress = job.progress, progress == 0.5 {
            return print("town/2.ppm is \(job.state): \(Int(100 * progress)) %, \(job.progressText ?? "")")
        }
        try await Task.sleep(for: .milliseconds(2))
    }
}

/// Paints the pictures, has them made small and says what came of each.
func runDemo() async throws {
    let folder = FileManager.default.temporaryDirectory.appending(path: "thumbnails-\(UUID().uuidString)")
    let names = try paint(in: folder)
    defer { try? FileManager.default.removeItem(at: folder) }  // the system cleans up what is left

    var configuration = Broker.Configuration()
    configuration.logger.logLevel = .warning  // the list is what is to be read
    let broker = try Broker(.file(folder.appending(path: "jobs.db").path()), configuration: configuration)
    let jobs = Jobs(broker)
    var batch = JobBatch()
    for name in names {
        batch.add(MakeThumbnail(picture: name), .init(limitKey: String(name.prefix { $0 != "/" })))
    }
    let enqueued = try await jobs.enqueue(batch)
    print("\(enqueued.count) pictures to make small, at most 2 at a time, and 1 of an album")

    let counter = Counter()
    let (looks, looked) = AsyncStream.makeStream(of: Void.self)
    let worker = try makeWorker(jobs, in: folder, counter, looks)
    try await withThrowingTaskGroup(of: Void.self) { group in
        group.addTask { try await worker.run() }
        try await look(at: enqueued[names.firstIndex(of: "town/2.ppm") ?? 0].id, jobs)
        looked.finish()
        for job in enqueued {
            while let found = try await jobs.find(job.id), ![.completed, .discarded].contains(found.state) {
                try await Task.sleep(for: .milliseconds(2))
            }
        }
        group.cancelAll()
    }

    for (name, job) in zip(names, enqueued) {
        guard let found = try await jobs.find(job.id) else { continue }
        print("  \(name): \(found.state), \(found.output ?? found.errors.last?.error ?? "")")
    }
    let files = names.filter { name in
        FileManager.default.fileExists(atPath: folder.appending(path: name + ".small").path())
    }
    print("\(files.count) small pictures; the limits were \(counter.hasKeptLimits ? "" : "not ")kept")
    try await broker.shutdown()
}

try await runDemo()
