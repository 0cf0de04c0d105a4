// The disk and SQLite alone; see probe.h.
#define _GNU_SOURCE
#include "probe.h"

#include <fcntl.h>
#include <stdio.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec + time.tv_nsec / 1e9;
}

double probe_fdatasync(const char *path, double seconds) {
    int file = open(path, O_CREAT | O_TRUNC | O_WRONLY, 0600);
    if (file < 0) return -1;
    char block[4096];
    memset(block, 'x', sizeof block);
    double start = now(), end = start;
    long count = 0;
    while (end - start < seconds) {
        if (write(file, block, sizeof block) != sizeof block || fdatasync(file) != 0) {
            count = -1;
            break;
        }
        count++;
        end = now();
    }
    close(file);
    unlink(path);
    return count < 0 ? -1 : count / (end - start);
}

struct probe_database {
    sqlite3 *connection;
    sqlite3_stmt *insert;
    void *body;
    int size;
};

static struct probe_database *probe(const char *path, const char *set_up, const char *insert) {
    struct probe_database *database = calloc(1, sizeof *database);
    if (!database) return NULL;
    if (sqlite3_open(path, &database->connection) != SQLITE_OK
        || sqlite3_exec(database->connection, set_up, NULL, NULL, NULL) != SQLITE_OK
        || sqlite3_prepare_v2(database->connection, insert, -1, &database->insert, NULL) != SQLITE_OK) {
        probe_close(database);
        return NULL;
    }
    return database;
}

struct probe_database *probe_open(const char *path) {
    return probe(
        path,
        "PRAGMA page_size=8192; PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
        "CREATE TABLE message(id INTEGER PRIMARY KEY, queue INTEGER NOT NULL, body BLOB NOT NULL);",
        "INSERT INTO message(queue, body) VALUES(1, ?1)");
}

struct probe_database *probe_open_brokers(const char *path) {
    return probe(
        path, "PRAGMA synchronous=FULL;",
        "INSERT INTO message(queue, place, size, entered, failed, exchange, routing_key, body, version) "
        "VALUES(1, (SELECT coalesce(max(id), 0) + 1 FROM message), length(?1), 1792000000000, 0, '', 'q', ?1, 1)");
}

double probe_commit(struct probe_database *database, int size, int rows) {
    if (database->size < size) {
        free(database->body);
        database->body = calloc(1, size);
        database->size = size;
        if (!database->body) return -1;
    }
    double start = now();
    int result = SQLITE_DONE;
    if (rows > 1) sqlite3_exec(database->connection, "BEGIN", NULL, NULL, NULL);
    sqlite3_bind_blob(database->insert, 1, database->body, size, SQLITE_STATIC);
    for (int i = 0; i < rows && result == SQLITE_DONE; i++) {
        result = sqlite3_step(database->insert);
        sqlite3_reset(database->insert);
    }
    if (rows > 1 && sqlite3_exec(database->connection, "COMMIT", NULL, NULL, NULL) != SQLITE_OK) return -1;
    return result == SQLITE_DONE ? (now() - start) * 1e6 : -1;
}

bool probe_seed_ids(const char *path, int64_t queue, int64_t count, int64_t expires) {
    sqlite3 *connection = NULL;
    sqlite3_stmt *insert = NULL;
    char begin[512], id[17];
    snprintf(
        begin, sizeof begin,
        "PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; BEGIN; "
        "INSERT INTO dedup_scope VALUES(1, 'queue %lld'); INSERT INTO dedup_run VALUES(1, %lld, %lld, NULL)",
        (long long)queue, (long long)count, (long long)expires);
    // Straight into the file: the log would be as long as all of it.
    bool done = sqlite3_open_v2(path, &connection, SQLITE_OPEN_READWRITE, NULL) == SQLITE_OK
        && sqlite3_exec(connection, begin, NULL, NULL, NULL) == SQLITE_OK
        && sqlite3_prepare_v2(
               connection, "INSERT INTO dedup_id(run, id, scope, expires) VALUES(1, ?1, 1, ?2)", -1, &insert, NULL)
            == SQLITE_OK;
    for (int64_t i = 0; done && i < count; i++) {
        snprintf(id, sizeof id, "%016llx", (unsigned long long)(UINT64_MAX / 16 * 15 / (uint64_t)count * (uint64_t)i));
        sqlite3_bind_text(insert, 1, id, 16, SQLITE_STATIC);
        sqlite3_bind_int64(insert, 2, expires);
        done = sqlite3_step(insert) == SQLITE_DONE;
        sqlite3_reset(insert);
    }
    sqlite3_finalize(insert);
    done = done && sqlite3_exec(connection, "COMMIT; PRAGMA journal_mode=WAL", NULL, NULL, NULL) == SQLITE_OK;
    sqlite3_close(connection);
    return done;
}

void probe_close(struct probe_database *database) {
    if (!database) return;
    sqlite3_finalize(database->insert);
    sqlite3_close(database->connection);
    free(database->body);
    free(database);
}
