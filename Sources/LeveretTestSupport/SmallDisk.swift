// A small file system of its own, for tests of what a full or a read-only disk does. Mounting needs root.

import Foundation

/// A file system in memory, as small as a test wants it.
package struct SmallDisk: Sendable {
    /// Where it is mounted.
    package let path: String

    /// Whether this process may mount file systems: root may.
    package static let isPossible = geteuid() == 0 && canMount

    private static var canMount: Bool {
        let folder = FileManager.default.temporaryDirectory.appending(
            path: "leveret-mount-\(UUID().uuidString)"
        ).path()
        // What is left is the system's to clean.
        defer { try? FileManager.default.removeItem(atPath: folder) }
        guard let disk = try? SmallDisk(at: folder, kibibytes: 64) else { return false }
        disk.unmount()
        return true
    }

    /// Mounts one of `kibibytes` at `path`.
    package init(at path: String, kibibytes: Int) throws {
        self.path = path
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        try Self.run("mount", "-t", "tmpfs", "-o", "size=\(kibibytes)k", "tmpfs", path)
    }

    /// Lets nobody write any more, root included.
    package func makeReadOnly() throws { try Self.run("mount", "-o", "remount,ro", path) }

    /// Fills the disk with a file, up to what is to be left.
    package func fill(leavingKibibytes left: Int) throws {
        let attributes = try FileManager.default.attributesOfFileSystem(forPath: path)
        let free = (attributes[.systemFreeSize] as? NSNumber)?.intValue ?? 0
        try Data(count: max(free - left << 10, 0)).write(to: URL(filePath: path + "/filler"))
    }

    /// Takes the file away again. It is emptied first: a program that is being started may have it open for a moment.
    package func clear() throws {
        truncate(path + "/filler", 0)
        try FileManager.default.removeItem(atPath: path + "/filler")
    }

    /// Takes it off, with all that is in it.
    package func unmount() { try? Self.run("umount", "-l", path) }

    private static func run(_ arguments: String...) throws {
        let process = try ChildProcess("/usr/bin/env", arguments)
        guard process.waitUntilExit() == 0 else { throw CocoaError(.fileWriteUnknown) }
    }
}
