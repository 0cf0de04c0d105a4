// How much memory the process has in use, as the operating system counts it, and less of it. The engine asks before a
// status, a server once a second.

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#elseif canImport(Darwin)
import Darwin
#endif

/// Resident memory of this process in bytes; 0 where the system does not say (no `/proc`).
func residentMemoryBytes() -> Int {
    // A system without /proc is no error: the status then shows 0.
    let file = open("/proc/self/statm", O_RDONLY | O_CLOEXEC)
    guard file >= 0 else { return 0 }
    defer { close(file) }
    let bytes = [UInt8](unsafeUninitializedCapacity: 128) { buffer, count in
        count = max(0, read(file, buffer.baseAddress, buffer.count))
    }
    let text = String(decoding: bytes, as: UTF8.self)
    let fields = text.split(separator: " ")
    guard fields.count > 1, let pages = Int(fields[1]) else { return 0 }
    return pages * sysconf(Int32(_SC_PAGESIZE))
}

/// Gives memory that was freed back to the system, where the allocator keeps it: glibc's does, in pieces that may be
/// used again, and the resident memory would stay as high as it ever was. Takes up to some hundred milliseconds, in
/// which other threads may have to wait for memory: for a thread that may take its time, and not often.
func giveBackFreedMemory() {
    // Looked up by name, as Swift's module of the C library doesn't have it, nor every C library the function.
    guard let found = dlsym(nil, "malloc_trim") else { return }
    let trim = unsafeBitCast(found, to: (@convention(c) (Int) -> CInt).self)
    _ = trim(0)
}
