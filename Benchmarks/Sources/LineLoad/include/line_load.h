// A load on a line-protocol server that costs as little as it can, because it shares the cores with what it
// measures: one thread, poll, messages patched in place, replies compared byte by byte. Every delivery's
// sequence is checked. The benchmarks in Swift describe a load, run it, and print what came of it.
#ifndef LINE_LOAD_H
#define LINE_LOAD_H

#include <stdbool.h>
#include <stdint.h>

/// How a consumer settles what it gets.
enum line_ack {
    LINE_AUTO_ACK,      // SUB … auto-ack
    LINE_ACK_EACH,      // ACK n for each message
    LINE_ACK_MULTIPLE,  // ACK n multiple, once for what one read brought
};

/// Whether each message gets an id of its own.
enum line_ids {
    LINE_NO_IDS,
    LINE_IDS_IN_ORDER,   // each greater than the one before, and than those of `probe_seed_ids`
    LINE_IDS_SCATTERED,  // anywhere between those
};

/// What is to be done. Counts are over all producers and consumers together, windows of each.
struct line_load {
    uint16_t port;
    int producers;
    int first_producer;        // its number: what an earlier load left behind isn't taken for this one's
    int64_t messages;
    int size;                  // bytes of a body, at least 16
    int window;                // publishes in flight
    double rate;               // messages a second; 0 is as fast as it goes
    bool transient;
    const char *exchange;
    const char *const *keys;   // taken in turn
    int key_count;
    const char *const *options; // of PUB, taken in turn with the keys; each begins with a space
    int option_count;
    enum line_ids ids;
    bool unordered;            // deliveries may come in another order than they were published in
    int routed;                // how many queues take each message
    int consumers;
    const char *const *queues; // consumer i takes from queue i modulo their number
    int queue_count;
    int prefetch;
    enum line_ack ack;
    int64_t deliveries;        // how many to wait for
    int64_t lag;               // consumers stay so many behind what was confirmed
    double seconds_max;        // then the load fails
};

/// What came of it. Latencies in microseconds, of all messages; seconds from the first byte sent.
struct line_result {
    int64_t confirmed, delivered, settled;
    double seconds;            // until everything was confirmed, delivered and settled
    double publish_seconds;    // until the last confirm
    double first_delivery_seconds;
    double confirm_p50, confirm_p99, confirm_max;
    double delivery_p50, delivery_p99, delivery_max;
    double client_cpu_seconds;
    char error[256];
};

/// Runs `load`; returns whether all of it went as it should, else `result->error` says what did not.
bool line_load_run(const struct line_load *load, struct line_result *result);

/// Sends `count` requests, pipelined, and reads as many replies; returns whether all were OK.
bool line_ask(uint16_t port, const char *requests, int64_t bytes, int64_t count, char error[256]);

/// A server process that was started: its id and port, and how long it took to listen.
struct line_server {
    int pid;
    uint16_t port;
    double seconds;
};

/// Starts `arguments[0]` and waits until it prints that it listens. Its log goes to the file `log`.
bool line_server_start(char *const arguments[], const char *log, struct line_server *server);

/// Ends a server with `signal` and waits until it is gone.
void line_server_stop(const struct line_server *server, int signal);

#endif
