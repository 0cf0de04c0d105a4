// Room that is set aside while the disk has some, and given up when it is full, so that what is already
// accepted, acks and purges can still be committed. Store calls it; Store+Room.swift has the rest of that story.

import LeveretCore
import Synchronization

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#elseif canImport(Darwin)
import Darwin
#endif

/// The file `leveret.db-reserve`.
final class ReserveFile: Sendable {
    private let path: String
    private let bytes: Int
    private let isThere = Atomic(false)
    private let isGivenUp = Atomic(false)

    /// Sets the room aside; where there is not enough, it counts as given up.
    init(besideDatabase database: String, bytes: Int) {
        path = database + "-reserve"
        self.bytes = bytes
        isThere.store(FileSize.bytes(of: path) >= bytes && bytes > 0, ordering: .relaxed)
        restore()
        isGivenUp.store(bytes > 0 && !isThere.load(ordering: .relaxed), ordering: .relaxed)
    }

    /// Free bytes of the disk from which the room is set aside: as much again stays free.
    var bytesNeeded: Int { 2 * bytes }

    /// True from when the room was given up until it is set aside again.
    var isMissing: Bool { isGivenUp.load(ordering: .relaxed) }

    /// Gives the room up, if there was any.
    func release() {
        guard isThere.exchange(false, ordering: .relaxed) else { return }
        unlink(path)
        isGivenUp.store(true, ordering: .relaxed)
    }

    /// Sets the room aside again, once the disk has `bytesNeeded`.
    func restore() {
        guard bytes > 0, !isThere.load(ordering: .relaxed) else { return }
        let descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, Files.rights)
        guard descriptor >= 0 else { return }
        defer { close(descriptor) }
        guard FileSize.freeBytes(at: path) >= bytesNeeded, allocate(descriptor)
        else {
            unlink(path)
            return
        }
        isThere.store(true, ordering: .relaxed)
        isGivenUp.store(false, ordering: .relaxed)
    }

    private func allocate(_ descriptor: Int32) -> Bool {
        #if os(Linux)
        return posix_fallocate(descriptor, 0, off_t(bytes)) == 0
        #else
        let zeros = [UInt8](repeating: 0, count: bytes)
        return pwrite(descriptor, zeros, bytes, 0) == bytes
        #endif
    }

    /// Removes the file with the store.
    func remove() { unlink(path) }
}
