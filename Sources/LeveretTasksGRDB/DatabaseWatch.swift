// Hears of writes to a database's files, by whatever process: SQLite writes each commit to the file or to its log.

import Dispatch
import Foundation
import Synchronization

enum DatabaseWatch {
    /// An element for writes from now on to the database at `path` or to its log; many writes may make one. `nil` where
    /// the system does not tell.
    static func writes(to path: String) -> AsyncStream<Void>? {
        #if os(Linux)
        // SQLite keeps the log beside the file itself, not beside a link to it.
        let file = URL(filePath: path).resolvingSymlinksInPath()
        let folder = file.deletingLastPathComponent().path(percentEncoded: false)
        guard let watch = DirectoryWatch(folder) else { return nil }
        let (writes, continuation) = AsyncStream.makeStream(
            of: Void.self, bufferingPolicy: .bufferingNewest(1))
        let name = file.lastPathComponent
        watch.start { changed in
            if changed.contains(where: { $0 == name || $0 == name + "-wal" || $0 == name + "-journal" }) {
                continuation.yield()
            }
        }
        continuation.onTermination = { _ in watch.stop() }
        return writes
        #else
        return nil
        #endif
    }
}

#if os(Linux)
/// The names of files in a directory that are written to, from inotify(7).
private final class DirectoryWatch: Sendable {
    private let descriptor: Int32
    /// Guards what reads the descriptor.
    private let source: Mutex<any DispatchSourceRead>

    /// `nil` when the system has no watch left, or no such directory.
    init?(_ directory: String) {
        descriptor = inotify_init1(Int32(IN_NONBLOCK | IN_CLOEXEC))
        guard descriptor >= 0 else { return nil }
        guard inotify_add_watch(descriptor, directory, UInt32(IN_MODIFY)) >= 0 else {
            close(descriptor)
            return nil
        }
        source = Mutex(DispatchSource.makeReadSource(fileDescriptor: descriptor))
    }

    /// Calls `onChange` with the names that were written to since it was called last.
    func start(_ onChange: @escaping @Sendable (Set<String>) -> Void) {
        source.withLock { [descriptor] source in
            source.setEventHandler { onChange(Self.names(from: descriptor)) }
            source.setCancelHandler { close(descriptor) }
            source.activate()
        }
    }

    func stop() { source.withLock { $0.cancel() } }

    private static func names(from descriptor: Int32) -> Set<String> {
        var names: Set<String> = []
        withUnsafeTemporaryAllocation(byteCount: 65_536, alignment: 8) { buffer in
            while true {
                let count = read(descriptor, buffer.baseAddress, buffer.count)
                guard count > 0 else { return }
                var place = 0
                let headBytes = MemoryLayout<inotify_event>.size
                while place + headBytes <= count {
                    let event = buffer.loadUnaligned(fromByteOffset: place, as: inotify_event.self)
                    let nameBytes = min(Int(event.len), count - place - headBytes)
                    let name = buffer[(place + headBytes)..<(place + headBytes + nameBytes)].prefix {
                        $0 != 0
                    }
                    names.insert(String(decoding: name, as: UTF8.self))
                    place += headBytes + nameBytes
                }
            }
        }
        return names
    }
}
#endif
