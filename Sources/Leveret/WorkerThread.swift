// What the broker's own threads (writer, reader, timekeeper) are made of: a thread that runs to its end, and
// the signal that it sleeps on. Nothing else in Leveret touches pthreads.

#if canImport(Darwin)
import Darwin
#elseif canImport(Musl)
import Musl
#else
import Glibc
#endif

/// Starts a thread called `name` that runs `body` and ends with it. Returns false where the system has no room.
package func startWorkerThread(_ name: String, _ body: @escaping @Sendable () -> Void) -> Bool {
    var attributes = pthread_attr_t()
    pthread_attr_init(&attributes)
    defer { pthread_attr_destroy(&attributes) }
    pthread_attr_setstacksize(&attributes, 1 << 20)
    pthread_attr_setdetachstate(&attributes, Int32(PTHREAD_CREATE_DETACHED))
    let life = Unmanaged.passRetained(ThreadLife(name: name, body: body))
    var thread = pthread_t()
    let code = pthread_create(
        &thread, &attributes,
        { life in
            guard let life else { return nil }
            Unmanaged<ThreadLife>.fromOpaque(life).takeRetainedValue().run()
            return nil
        },
        life.toOpaque())
    if code != 0 { life.release() }
    return code == 0
}

/// What a thread is born with.
private final class ThreadLife: Sendable {
    private let name: String
    private let body: @Sendable () -> Void

    init(name: String, body: @escaping @Sendable () -> Void) {
        self.name = name
        self.body = body
    }

    func run() {
        // Shown by top and perf. Where this isn't there, the thread goes without a name.
        let file = open("/proc/thread-self/comm", O_WRONLY | O_CLOEXEC)
        if file >= 0 {
            _ = write(file, name, name.utf8.count)
            close(file)
        }
        body()
    }
}

/// A flag that any thread raises and one thread waits for; the wait takes it down again. Raising it twice
/// before the wait is the same as once, and none is lost.
///
/// Why `@unchecked Sendable` holds: `isRaised` is read and written only between `pthread_mutex_lock` and
/// `pthread_mutex_unlock` of `mutex` (or by `pthread_cond_…wait`, which holds it on return); the two pointers
/// never change, and what they point to lives from `init` to `deinit` and is touched by pthread calls only.
/// Swift's `Mutex` has no wait, and Foundation's `NSCondition` waits by the wall clock, which jumps.
final class Signal: @unchecked Sendable {
    private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private let condition = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
    private var isRaised = false  // guarded by mutex

    init() {
        pthread_mutex_init(mutex, nil)
        #if canImport(Darwin)
        pthread_cond_init(condition, nil)
        #else
        var attributes = pthread_condattr_t()
        pthread_condattr_init(&attributes)
        pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
        pthread_cond_init(condition, &attributes)
        pthread_condattr_destroy(&attributes)
        #endif
    }

    deinit {
        pthread_cond_destroy(condition)
        pthread_mutex_destroy(mutex)
        condition.deallocate()
        mutex.deallocate()
    }

    /// Lets the waiting thread go on, or the next wait return at once.
    func raise() {
        pthread_mutex_lock(mutex)
        isRaised = true
        pthread_cond_signal(condition)
        pthread_mutex_unlock(mutex)
    }

    /// Returns once the flag is raised.
    func wait() {
        pthread_mutex_lock(mutex)
        while !isRaised { pthread_cond_wait(condition, mutex) }
        isRaised = false
        pthread_mutex_unlock(mutex)
    }

    /// Returns once the flag is raised, or after `milliseconds`, whichever comes first.
    /// - Returns: whether it was raised.
    @discardableResult
    func wait(milliseconds: Int) -> Bool {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        if !isRaised { waitOnce(milliseconds: milliseconds) }
        defer { isRaised = false }
        return isRaised
    }

    /// One wait that may end early for no reason: callers look again at what they wait for.
    private func waitOnce(milliseconds: Int) {
        #if canImport(Darwin)
        var time = timespec(tv_sec: milliseconds / 1_000, tv_nsec: milliseconds % 1_000 * 1_000_000)
        pthread_cond_timedwait_relative_np(condition, mutex, &time)
        #else
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        time.tv_sec += milliseconds / 1_000
        time.tv_nsec += milliseconds % 1_000 * 1_000_000
        if time.tv_nsec >= 1_000_000_000 {
            time.tv_sec += 1
            time.tv_nsec -= 1_000_000_000
        }
        pthread_cond_timedwait(condition, mutex, &time)
        #endif
    }
}
