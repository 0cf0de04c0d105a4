// What the disk and SQLite do on their own, measured beside the broker in the same run.
#ifndef PROBE_H
#define PROBE_H

#include <stdbool.h>
#include <stdint.h>

/// Writes and syncs 4 KiB for `seconds` in a new file at `path`; returns syncs a second, or a negative number.
double probe_fdatasync(const char *path, double seconds);

/// A SQLite file as the broker's: WAL, synchronous=FULL, 8 KiB pages, one table. `NULL` if it can't be made.
struct probe_database;
struct probe_database *probe_open(const char *path);

/// A broker's file that nobody has open, with its tables and indexes; `NULL` if it is none.
struct probe_database *probe_open_brokers(const char *path);

/// Inserts `rows` rows of `size` bytes as one transaction; returns microseconds, or a negative number.
double probe_commit(struct probe_database *database, int size, int rows);

/// Puts `count` ids, spread evenly, that end at `expires` (ms since 1970) into the table `dedup` of a broker's file
/// that nobody has open, as seen by the queue with number `queue`. Returns whether it did.
bool probe_seed_ids(const char *path, int64_t queue, int64_t count, int64_t expires);

/// Closes it.
void probe_close(struct probe_database *database);

#endif
