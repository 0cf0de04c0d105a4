// amqpload, a load driver for AMQP 0-9-1 brokers: what its files share. main.c has the options and prints what was
// found, wire.c speaks with the broker, messages.c publishes and consumes, many.c makes many connections, channels or
// queues.
#ifndef LOAD_H
#define LOAD_H

#include <amqp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    QUEUES_MAX = 64,
    PRODUCERS_MAX = 64,
    FRAME_BYTES_MAX = 131072,
    OUTPUT_BYTES = 256 << 10,
    WRITE_AT_BYTES = 48 << 10,
    SILENCE_SECONDS_MAX = 15,
    STAMP_BYTES = 16, // what a body begins with: time, producer, number
};

/// What is asked for on the command line.
struct options {
    const char *host, *user, *password, *vhost;
    const char *queue, *exchange, *exchange_type, *queue_type, *folder;
    int port, producers, consumers, queues, bindings, keys, prefetch, ack_every, lag, count, process;
    bool persistent, auto_ack;
    long size, messages, window, rate;
};
extern struct options options;

/// Nanoseconds, in the order in which they were measured.
struct samples {
    uint64_t *values;
    size_t count, capacity;
};

/// What one producer or one consumer saw.
struct worker {
    int index;
    uint64_t first_ns, last_ns;
    long count, confirmed, nacked, doubled, damaged;
    struct samples waits;
};

// wire.c

/// A connection with one channel, number 1, whose frames are gathered in `bytes` until flush.
struct peer {
    amqp_connection_state_t connection;
    size_t count;
    uint8_t bytes[OUTPUT_BYTES];
};

uint64_t now_ns(void);
/// Says what went wrong, and ends the program with 2.
_Noreturn void die(const char *format, ...) __attribute__((format(printf, 1, 2)));
void *allocate(size_t count, size_t size);
/// Ends the program where the last synchronous method on `connection` was refused.
void check(amqp_connection_state_t connection, const char *what);
/// A connection that is open, with `channels` channels.
amqp_connection_state_t dial(int channels);
void hang_up(amqp_connection_state_t connection);
void peer_open(struct peer *peer);
/// Writes what was gathered.
void peer_flush(struct peer *peer);
void peer_publish(struct peer *peer, const char *key, const uint8_t *body);
void peer_ack(struct peer *peer, uint64_t tag, bool multiple);
/// Whether a frame can be taken without asking the system.
bool peer_has_input(const struct peer *peer);
/// Waits for at most `ns` for a frame; false if none came.
bool peer_next(struct peer *peer, uint64_t ns, amqp_frame_t *frame);
/// Whether a broker on the options' host and port answers the protocol header.
bool broker_answers(void);

// messages.c

/// Declares, publishes and consumes as the options say, and deletes it all; `producers` and `consumers` have room for
/// as many as there are to be. What the broker's process used of processors meanwhile, in seconds, is returned:
/// without declaring and deleting.
double run_messages(struct worker *producers, struct worker *consumers);

// many.c

double processor_seconds(int process);
double resident_mib(int process);
void run_connections(void);
void run_channels(void);
void run_queues(void);
void run_ready(void);
void run_probe(void);

#endif
