// SQLite's C interface, as the system has it, and what of it Swift can't call: functions of variable arguments.
#include <sqlite3.h>
#include <stddef.h>

// Sets an option of sqlite3_db_config that is on or off. Options that this SQLite doesn't know change nothing.
static inline void leveret_sqlite_set(sqlite3 *connection, int option, int isOn) {
    sqlite3_db_config(connection, option, isOn, (int *)0);
}

// The C library's search for bytes in bytes, whose header hides it unless it is asked for GNU's extensions. Its time
// grows with the sum of the lengths.
void *memmem(const void *haystack, size_t haystackCount, const void *needle, size_t needleCount);
