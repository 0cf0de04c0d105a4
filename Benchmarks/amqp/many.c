// What is not about messages: many idle connections, channels or queues, how soon a broker answers, how fast the disk
// syncs, and what the broker's process uses.
#define _GNU_SOURCE
#include "load.h"

#include <amqp_framing.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

static double seconds_since(uint64_t start_ns) {
    return (double)(now_ns() - start_ns) / 1e9;
}

/// The process's time on processors so far; 0 where the options name no process.
double processor_seconds(int process) {
    char path[64], text[1024];
    unsigned long user = 0, kernel = 0;
    if (!process) return 0;
    snprintf(path, sizeof path, "/proc/%d/stat", process);
    FILE *file = fopen(path, "r");
    if (!file) die("%s: %s", path, strerror(errno));
    size_t length = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    text[length] = 0;
    const char *behind_name = strrchr(text, ')');
    if (!behind_name ||
        sscanf(behind_name, ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &kernel) != 2)
        die("%s is not understood", path);
    return (double)(user + kernel) / (double)sysconf(_SC_CLK_TCK);
}

/// What of the process is in memory.
double resident_mib(int process) {
    char path[64];
    unsigned long pages = 0;
    if (!process) return 0;
    snprintf(path, sizeof path, "/proc/%d/statm", process);
    FILE *file = fopen(path, "r");
    if (!file || fscanf(file, "%*u %lu", &pages) != 1) die("%s is not understood", path);
    fclose(file);
    return (double)pages * (double)sysconf(_SC_PAGESIZE) / 1048576;
}

void run_connections(void) {
    struct rlimit files = { 0 };
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    amqp_connection_state_t *connections = allocate((size_t)options.count, sizeof *connections);
    double before = resident_mib(options.process);
    uint64_t start = now_ns();
    for (int index = 0; index < options.count; index++) connections[index] = dial(1);
    double seconds = seconds_since(start);
    sleep(1);
    double after = resident_mib(options.process);
    printf(
        "{\"connections\":%d,\"seconds\":%.3f,\"rate\":%.0f,\"resident_mib\":%.1f,\"before_mib\":%.1f}\n",
        options.count, seconds, options.count / seconds, after, before
    );
    for (int index = 0; index < options.count; index++) hang_up(connections[index]);
    free(connections);
}

void run_channels(void) {
    uint64_t start = now_ns();
    amqp_connection_state_t connection = dial(options.count);
    double opened = seconds_since(start);
    for (int number = 1; number <= options.count; number++) {
        amqp_channel_t channel = (amqp_channel_t)number;
        amqp_queue_declare_ok_t *queue = amqp_queue_declare(
            connection, channel, amqp_empty_bytes, 0, 0, 1, 1, amqp_empty_table
        );
        check(connection, "queue.declare");
        amqp_basic_consume(connection, channel, queue->queue, amqp_empty_bytes, 0, 1, 0, amqp_empty_table);
        check(connection, "basic.consume");
        amqp_maybe_release_buffers(connection);
    }
    double seconds = seconds_since(start);
    printf(
        "{\"channels\":%d,\"opened_ms\":%.1f,\"with_a_consumer_each_ms\":%.1f,\"resident_mib\":%.1f}\n", options.count,
        opened * 1e3, seconds * 1e3, resident_mib(options.process)
    );
    hang_up(connection);
}

/// Declares durable queues without waiting for each, and waits at the end of every hundredth of them.
void run_queues(void) {
    enum { PARTS = 100, TENTH = PARTS / 10 };
    double took[PARTS];
    char name[64];
    amqp_connection_state_t connection = dial(1);
    double before = resident_mib(options.process);
    uint64_t start = now_ns();
    int part_count = options.count / PARTS;
    for (int part = 0; part < PARTS; part++) {
        uint64_t part_start = now_ns();
        for (int index = 0; index < part_count; index++) {
            snprintf(name, sizeof name, "%s-%d-%d", options.queue, part, index);
            amqp_queue_declare_t method = { .queue = amqp_cstring_bytes(name),
                                            .durable = 1,
                                            .nowait = index < part_count - 1 };
            if (method.nowait) {
                if (amqp_send_method(connection, 1, AMQP_QUEUE_DECLARE_METHOD, &method))
                    die("queue.declare was not sent");
            } else {
                amqp_queue_declare(connection, 1, method.queue, 0, 1, 0, 0, amqp_empty_table);
                check(connection, "queue.declare");
            }
        }
        amqp_maybe_release_buffers(connection);
        took[part] = seconds_since(part_start);
    }
    double seconds = seconds_since(start), first = 0, last = 0;
    for (int part = 0; part < TENTH; part++) first += took[part], last += took[PARTS - 1 - part];
    printf(
        "{\"queues\":%d,\"rate\":%.0f,\"first_tenth_rate\":%.0f,\"last_tenth_rate\":%.0f,\"resident_mib\":%.1f,"
        "\"before_mib\":%.1f}\n",
        part_count * PARTS, part_count * PARTS / seconds, part_count * TENTH / first, part_count * TENTH / last,
        resident_mib(options.process), before
    );
    hang_up(connection);
}

/// Asks a broker that is just being started until it answers, and prints the time of day, in seconds since 1970.
void run_ready(void) {
    const struct timespec pause = { 0, 500000 };
    uint64_t start = now_ns();
    while (!broker_answers()) {
        if (seconds_since(start) > 120) die("no broker at %s:%d after 120 s", options.host, options.port);
        nanosleep(&pause, NULL);
    }
    struct timespec time;
    clock_gettime(CLOCK_REALTIME, &time);
    printf("%ld.%06ld\n", (long)time.tv_sec, time.tv_nsec / 1000);
}

/// How often a second a block of 4 KiB is appended and synced in the options' folder.
void run_probe(void) {
    char path[4096], block[4096];
    memset(block, 'x', sizeof block);
    snprintf(path, sizeof path, "%s/probe", options.folder);
    int file = open(path, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
    if (file < 0) die("%s: %s", path, strerror(errno));
    long count = 0;
    uint64_t start = now_ns();
    for (; seconds_since(start) < 1; count++)
        if (write(file, block, sizeof block) != sizeof block || fdatasync(file)) die("%s: %s", path, strerror(errno));
    printf("%.0f\n", (double)count / seconds_since(start));
    close(file);
    unlink(path);
}
