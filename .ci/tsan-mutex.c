// Shows ThreadSanitizer the waits of Swift's Synchronization.Mutex. A lock that nobody waits for is taken and let
// go of in the caller's own code, where the sanitizer sees it; one that somebody waits for changes hands inside
// the standard library, where it does not, and all that such a lock guards then looks like a data race.
// `make sanitize` preloads this into the tests: it passes each call on and tells the sanitizer what it did.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdbool.h>
#include <stdint.h>

#define swiftcall __attribute__((swiftcall))
#define self __attribute__((swift_context)) void *

// Defined by the sanitizer's runtime; absent from processes that run without it.
extern void __tsan_acquire(void *address) __attribute__((weak));
extern void __tsan_release(void *address) __attribute__((weak));

// Synchronization._MutexHandle's _lockSlow(_: UInt32), _tryLockSlow() and _unlockSlow(), by their mangled names.
#define LOCK "$s15Synchronization12_MutexHandleV9_lockSlowyys6UInt32VF"
#define TRY_LOCK "$s15Synchronization12_MutexHandleV12_tryLockSlowSbyF"
#define UNLOCK "$s15Synchronization12_MutexHandleV11_unlockSlowyyF"

typedef swiftcall void (*lock_call)(uint32_t, self);
typedef swiftcall bool (*try_call)(self);
typedef swiftcall void (*unlock_call)(self);

swiftcall void lock(uint32_t, self) __asm__(LOCK);
swiftcall bool try_lock(self) __asm__(TRY_LOCK);
swiftcall void unlock(self) __asm__(UNLOCK);

swiftcall void lock(uint32_t thread, self mutex) {
    static lock_call next;
    if (!next) next = (lock_call)dlsym(RTLD_NEXT, LOCK);
    next(thread, mutex);
    if (__tsan_acquire) __tsan_acquire(mutex);
}

swiftcall bool try_lock(self mutex) {
    static try_call next;
    if (!next) next = (try_call)dlsym(RTLD_NEXT, TRY_LOCK);
    bool is_held = next(mutex);
    if (is_held && __tsan_acquire) __tsan_acquire(mutex);
    return is_held;
}

swiftcall void unlock(self mutex) {
    static unlock_call next;
    if (!next) next = (unlock_call)dlsym(RTLD_NEXT, UNLOCK);
    if (__tsan_release) __tsan_release(mutex);
    next(mutex);
}
