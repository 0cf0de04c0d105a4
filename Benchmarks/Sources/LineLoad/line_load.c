// The load; see line_load.h. Producers keep a ring of ready-made requests, of which only sequence and time
// are patched; consumers walk from one header line to the next and never touch a body but for its first bytes.
#define _GNU_SOURCE
#include "line_load.h"

#include "histogram.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    INPUT_BYTES = 1 << 20,
    SLOTS_MIN = 64,
    WRITE_BYTES_MAX = 256 << 10,
    PRODUCERS_MAX = 64,
};

/// A socket with what was read and not yet understood, and what is to be written.
struct connection {
    int socket;
    char *input;
    size_t input_count;
    char *output;
    size_t output_first, output_end, output_size;
};

/// Publishes; its output buffer is the ring of requests.
struct producer {
    struct connection connection;
    uint64_t id;
    int64_t wanted, sent, confirmed;
    size_t *slots;         // where each request begins in the ring, one more than there are
    size_t *bodies;        // where its body begins
    size_t *ids;           // where its id begins, if it has one
    int slot_count, slot;
    uint64_t *sent_at;
    uint64_t sent_mask;
};

/// Consumes.
struct consumer {
    struct connection connection;
    uint64_t seen[PRODUCERS_MAX];
    int64_t delivered, owed, settled;
    bool subscribed;
};

struct run {
    const struct line_load *load;
    struct line_result *result;
    struct producer *producers;
    struct consumer *consumers;
    struct histogram confirms, deliveries;
    char ok[32];
    size_t ok_length;
    uint64_t start, last_confirm, first_delivery;
    int64_t sent, confirmed, delivered, owed, settled;
    bool failed;
};

static uint64_t nanoseconds(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static void fail(struct run *run, const char *format, ...) {
    if (run->failed) return;
    run->failed = true;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(run->result->error, sizeof run->result->error, format, arguments);
    va_end(arguments);
}

static int connect_to(uint16_t port) {
    int sock = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int on = 1;
    if (sock < 0 || connect(sock, (struct sockaddr *)&address, sizeof address) != 0) {
        if (sock >= 0) close(sock);
        return -1;
    }
    setsockopt(sock, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    fcntl(sock, F_SETFL, O_NONBLOCK);
    return sock;
}

static bool open_connection(struct connection *connection, uint16_t port, size_t output_size) {
    connection->socket = connect_to(port);
    connection->input = malloc(INPUT_BYTES);
    connection->output = malloc(output_size);
    connection->output_size = output_size;
    return connection->socket >= 0 && connection->input && connection->output;
}

static void close_connection(struct connection *connection) {
    if (connection->socket >= 0) close(connection->socket);
    free(connection->input);
    free(connection->output);
}

/// Reads once. Returns false where there was nothing.
static bool fill(struct run *run, struct connection *connection) {
    ssize_t count = recv(
        connection->socket, connection->input + connection->input_count,
        INPUT_BYTES - connection->input_count, 0);
    if (count > 0) {
        connection->input_count += (size_t)count;
        return true;
    }
    if (count == 0) fail(run, "the server closed the connection");
    else if (errno != EAGAIN && errno != EINTR) fail(run, "recv: %s", strerror(errno));
    return false;
}

/// Drops the first `count` bytes of what was read.
static void consume(struct connection *connection, size_t count) {
    connection->input_count -= count;
    memmove(connection->input, connection->input + count, connection->input_count);
}

/// Writes what is waiting; returns true once all of it is written.
static bool flush(struct run *run, struct connection *connection) {
    while (connection->output_first < connection->output_end) {
        ssize_t count = send(
            connection->socket, connection->output + connection->output_first,
            connection->output_end - connection->output_first, MSG_NOSIGNAL);
        if (count < 0) {
            if (errno != EAGAIN && errno != EINTR) fail(run, "send: %s", strerror(errno));
            return false;
        }
        connection->output_first += (size_t)count;
    }
    return true;
}

// MARK: producers

static bool make_ring(const struct line_load *load, struct producer *producer) {
    int turn = load->key_count * (load->option_count > 0 ? load->option_count : 1), count = turn;
    while (count < SLOTS_MIN) count += turn;
    size_t size = 0, option_size = 0;
    for (int i = 0; i < load->key_count; i++) size += strlen(load->keys[i]);
    for (int i = 0; i < load->option_count; i++)
        if (strlen(load->options[i]) > option_size) option_size = strlen(load->options[i]);
    size = size / (size_t)load->key_count + 96 + option_size + strlen(load->exchange) + (size_t)load->size;
    producer->slot_count = count;
    producer->ids = calloc((size_t)count, sizeof *producer->ids);
    producer->slots = calloc((size_t)count + 1, sizeof *producer->slots);
    producer->bodies = calloc((size_t)count, sizeof *producer->bodies);
    if (!producer->slots || !producer->bodies || !producer->ids
        || !open_connection(&producer->connection, load->port, size * (size_t)count + 4096))
        return false;
    char *ring = producer->connection.output;
    size_t end = 0;
    const char *exchange = *load->exchange ? load->exchange : "\"\"";
    for (int i = 0; i < count; i++) {
        producer->slots[i] = end;
        end += (size_t)sprintf(
            ring + end, "PUB %s %s%s%s", exchange, load->keys[i % load->key_count],
            load->transient ? " transient" : "",
            load->option_count > 0 ? load->options[i / load->key_count % load->option_count] : "");
        producer->ids[i] = end + 4;
        if (load->ids != LINE_NO_IDS) end += (size_t)sprintf(ring + end, " id=%016d", 0);
        end += (size_t)sprintf(ring + end, " {%d}\n", load->size);
        producer->bodies[i] = end;
        memset(ring + end, 'x', (size_t)load->size);
        end += (size_t)load->size;
        ring[end++] = '\n';
    }
    producer->slots[count] = end;
    uint64_t size_of_ring = 1;
    while (size_of_ring < (uint64_t)load->window) size_of_ring *= 2;
    producer->sent_mask = size_of_ring - 1;
    producer->sent_at = calloc(size_of_ring, sizeof *producer->sent_at);
    return producer->sent_at != NULL;
}

/// How many messages the pace allows up to now.
static int64_t allowed(const struct run *run, uint64_t now) {
    if (run->load->rate <= 0) return INT64_MAX;
    return (int64_t)((double)(now - run->start) / 1e9 * run->load->rate) + 1;
}

/// Writes an id that is this message's own.
static void write_id(char *at, uint64_t sequence, enum line_ids ids) {
    uint64_t number = ids == LINE_IDS_IN_ORDER ? 0xf000000000000000u + sequence : (sequence + 1) * 0x9e3779b97f4a7c15u;
    for (int i = 15; i >= 0; i--, number >>= 4) at[i] = "0123456789abcdef"[number & 15];
}

static void publish(struct run *run, struct producer *producer) {
    struct connection *connection = &producer->connection;
    size_t budget = WRITE_BYTES_MAX;
    while (flush(run, connection) && budget > 0) {
        int64_t credit = run->load->window - (producer->sent - producer->confirmed);
        if (credit > producer->wanted - producer->sent) credit = producer->wanted - producer->sent;
        uint64_t now = nanoseconds();
        int64_t pace = allowed(run, now) - run->sent;
        if (credit > pace) credit = pace;
        if (credit <= 0) return;
        if (producer->slot == producer->slot_count) producer->slot = 0;
        int first = producer->slot;
        while (credit-- > 0 && producer->slot < producer->slot_count
               && producer->slots[producer->slot] - producer->slots[first] < budget) {
            uint64_t sequence = producer->id << 48 | (uint64_t)producer->sent;
            if (run->load->ids != LINE_NO_IDS)
                write_id(connection->output + producer->ids[producer->slot], sequence, run->load->ids);
            char *body = connection->output + producer->bodies[producer->slot++];
            memcpy(body, &sequence, 8);
            memcpy(body + 8, &now, 8);
            producer->sent_at[(uint64_t)producer->sent++ & producer->sent_mask] = now;
            run->sent++;
        }
        connection->output_first = producer->slots[first];
        connection->output_end = producer->slots[producer->slot];
        size_t filled = connection->output_end - connection->output_first;
        budget = filled < budget ? budget - filled : 0;
    }
}

static void hear_confirms(struct run *run, struct producer *producer) {
    struct connection *connection = &producer->connection;
    if (!fill(run, connection)) return;
    const char *at = connection->input, *end = at + connection->input_count;
    uint64_t now = nanoseconds();
    while ((size_t)(end - at) >= run->ok_length && memcmp(at, run->ok, run->ok_length) == 0) {
        at += run->ok_length;
        histogram_add(&run->confirms, now - producer->sent_at[(uint64_t)producer->confirmed++ & producer->sent_mask]);
        run->confirmed++;
    }
    run->last_confirm = now;
    const char *line = memchr(at, '\n', (size_t)(end - at));
    if (line) fail(run, "a publish was answered with: %.*s", (int)(line - at), at);
    consume(connection, (size_t)(at - connection->input));
}

// MARK: consumers

static void write_acks(struct run *run, struct consumer *consumer, const char *tag, size_t length, bool multiple) {
    struct connection *connection = &consumer->connection;
    if (connection->output_size - connection->output_end < 64) {
        size_t waiting = connection->output_end - connection->output_first;
        memmove(connection->output, connection->output + connection->output_first, waiting);
        connection->output_first = 0;
        connection->output_end = waiting;
        if (connection->output_size - waiting < 64) {
            connection->output_size *= 2;
            connection->output = realloc(connection->output, connection->output_size);
        }
    }
    char *out = connection->output + connection->output_end;
    memcpy(out, "ACK ", 4);
    memcpy(out + 4, tag, length);
    memcpy(out + 4 + length, multiple ? " multiple\n" : "\n", multiple ? 10 : 1);
    connection->output_end += length + (multiple ? 14 : 5);
    consumer->owed++;
    run->owed++;
}

static void check_body(struct run *run, struct consumer *consumer, const char *body, uint64_t now) {
    uint64_t sequence, sent_at;
    memcpy(&sequence, body, 8);
    memcpy(&sent_at, body + 8, 8);
    uint64_t producer = sequence >> 48;
    sequence = (sequence & 0xffffffffffff) + 1;
    if (producer >= PRODUCERS_MAX) return fail(run, "a delivery has a body that nobody published");
    uint64_t last = consumer->seen[producer];
    bool shares = run->load->consumers > run->load->queue_count;
    if (run->load->unordered) last = 0;
    if (last != 0 && (shares ? sequence <= last : sequence != last + 1))
        return fail(run, "message %llu came after %llu", (unsigned long long)sequence, (unsigned long long)last);
    consumer->seen[producer] = sequence;
    histogram_add(&run->deliveries, now > sent_at ? now - sent_at : 0);
}

/// Understands one frame at `at`; returns its length, 0 where it has not come whole.
static size_t hear_frame(struct run *run, struct consumer *consumer, const char *at, size_t count, uint64_t now) {
    const char *line = memchr(at, '\n', count);
    if (!line) return 0;
    size_t length = (size_t)(line - at) + 1;
    if (at[0] == 'O' && at[1] == 'K') {
        if (!consumer->subscribed) consumer->subscribed = true;
        else consumer->settled++, run->settled++;
        return length;
    }
    if (memcmp(at, "MSG ", 4) != 0 || line[-1] != '}') {
        fail(run, "a consumer was told: %.*s", (int)(line - at), at);
        return 0;
    }
    size_t size = 0, unit = 1;
    for (const char *digit = line - 2; *digit != '{'; digit--, unit *= 10) size += (size_t)(*digit - '0') * unit;
    if (count < length + size + 1) return 0;
    const char *tag_end = memchr(at + 4, ' ', length - 4);
    check_body(run, consumer, line + 1, now);
    consumer->delivered++;
    run->delivered++;
    if (run->load->ack == LINE_ACK_EACH) write_acks(run, consumer, at + 4, (size_t)(tag_end - at) - 4, false);
    return length + size + 1;
}

static void hear_deliveries(struct run *run, struct consumer *consumer) {
    struct connection *connection = &consumer->connection;
    if (!fill(run, connection)) return;
    const char *last = NULL;
    size_t used = 0, length;
    uint64_t now = nanoseconds();
    while (used < connection->input_count
           && (length = hear_frame(
                   run, consumer, connection->input + used, connection->input_count - used, now)) > 0) {
        if (connection->input[used] == 'M') last = connection->input + used + 4;
        used += length;
    }
    if (run->delivered > 0 && run->first_delivery == 0) run->first_delivery = now;
    if (last && run->load->ack == LINE_ACK_MULTIPLE)
        write_acks(run, consumer, last, (size_t)((const char *)memchr(last, ' ', 24) - last), true);
    consume(connection, used);
    flush(run, connection);
}

// MARK: the run

static bool set_up(struct run *run) {
    const struct line_load *load = run->load;
    run->ok_length = (size_t)sprintf(run->ok, "OK %d\n", load->routed);
    run->producers = calloc((size_t)load->producers + 1, sizeof *run->producers);
    run->consumers = calloc((size_t)load->consumers + 1, sizeof *run->consumers);
    if (!run->producers || !run->consumers) return false;
    for (int i = 0; i < load->producers; i++) {
        struct producer *producer = &run->producers[i];
        producer->id = (uint64_t)(load->first_producer + i);
        producer->wanted = load->messages / load->producers;
        if (!make_ring(load, producer)) return false;
    }
    for (int i = 0; i < load->consumers; i++) {
        struct connection *connection = &run->consumers[i].connection;
        if (!open_connection(connection, load->port, 1 << 20)) return false;
        connection->output_end = (size_t)sprintf(
            connection->output, "SUB %s prefetch=%d%s\n", load->queues[i % load->queue_count],
            load->prefetch, load->ack == LINE_AUTO_ACK ? " auto-ack" : "");
    }
    return true;
}

static bool is_done(const struct run *run) {
    int64_t wanted = run->load->producers > 0 ? run->load->messages / run->load->producers * run->load->producers : 0;
    return run->confirmed >= wanted && run->delivered >= run->load->deliveries && run->settled >= run->owed;
}

/// Which sockets to wait for, in the order producers, consumers.
static void choose(const struct run *run, struct pollfd *sockets) {
    int count = 0;
    bool all_sent = run->sent >= run->load->messages || run->load->producers == 0;
    for (int i = 0; i < run->load->producers; i++) {
        const struct connection *connection = &run->producers[i].connection;
        short events = POLLIN;
        if (connection->output_first < connection->output_end) events |= POLLOUT;
        sockets[count++] = (struct pollfd){.fd = connection->socket, .events = events};
    }
    for (int i = 0; i < run->load->consumers; i++) {
        const struct connection *connection = &run->consumers[i].connection;
        bool waits = run->load->lag > 0 && !all_sent && run->confirmed - run->delivered <= run->load->lag;
        short events = waits && run->consumers[i].subscribed ? 0 : POLLIN;
        if (connection->output_first < connection->output_end) events |= POLLOUT;
        sockets[count++] = (struct pollfd){.fd = connection->socket, .events = events};
    }
}

static void turn(struct run *run, struct pollfd *sockets) {
    for (int i = 0; i < run->load->producers; i++) publish(run, &run->producers[i]);
    choose(run, sockets);
    int count = run->load->producers + run->load->consumers;
    // A paced run looks at the clock again after a fifth of a millisecond.
    struct timespec patience = {.tv_sec = run->load->rate > 0 ? 0 : 1, .tv_nsec = run->load->rate > 0 ? 200000 : 0};
    if (ppoll(sockets, (nfds_t)count, &patience, NULL) < 0 && errno != EINTR) fail(run, "poll: %s", strerror(errno));
    for (int i = 0; i < count && !run->failed; i++) {
        if (sockets[i].revents == 0) continue;
        if (i < run->load->producers) {
            if (sockets[i].revents & ~POLLOUT) hear_confirms(run, &run->producers[i]);
        } else {
            struct consumer *consumer = &run->consumers[i - run->load->producers];
            if (sockets[i].revents & POLLOUT) flush(run, &consumer->connection);
            if (sockets[i].revents & ~POLLOUT) hear_deliveries(run, consumer);
        }
    }
}

static double cpu_seconds(void) {
    struct rusage usage;
    getrusage(RUSAGE_THREAD, &usage);
    return usage.ru_utime.tv_sec + usage.ru_stime.tv_sec + (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static void report(struct run *run, double cpu_before) {
    struct line_result *result = run->result;
    result->confirmed = run->confirmed;
    result->delivered = run->delivered;
    result->settled = run->settled;
    result->seconds = (double)(nanoseconds() - run->start) / 1e9;
    result->publish_seconds = run->last_confirm ? (double)(run->last_confirm - run->start) / 1e9 : 0;
    result->first_delivery_seconds = run->first_delivery ? (double)(run->first_delivery - run->start) / 1e9 : 0;
    result->confirm_p50 = histogram_at(&run->confirms, 0.5) / 1e3;
    result->confirm_p99 = histogram_at(&run->confirms, 0.99) / 1e3;
    result->confirm_max = (double)run->confirms.max / 1e3;
    result->delivery_p50 = histogram_at(&run->deliveries, 0.5) / 1e3;
    result->delivery_p99 = histogram_at(&run->deliveries, 0.99) / 1e3;
    result->delivery_max = (double)run->deliveries.max / 1e3;
    result->client_cpu_seconds = cpu_seconds() - cpu_before;
}

bool line_load_run(const struct line_load *load, struct line_result *result) {
    struct run *run = calloc(1, sizeof *run);
    struct pollfd *sockets = calloc((size_t)(load->producers + load->consumers) + 1, sizeof *sockets);
    memset(result, 0, sizeof *result);
    if (!run || !sockets) return false;
    run->load = load;
    run->result = result;
    double cpu = cpu_seconds();
    if (!set_up(run)) fail(run, "no connection to port %d: %s", load->port, strerror(errno));
    run->start = nanoseconds();
    uint64_t deadline = run->start + (uint64_t)(load->seconds_max * 1e9);
    while (!run->failed && !is_done(run)) {
        turn(run, sockets);
        if (nanoseconds() > deadline)
            fail(run, "after %.0f s only %lld confirmed, %lld delivered, %lld of %lld settled", load->seconds_max,
                 (long long)run->confirmed, (long long)run->delivered, (long long)run->settled, (long long)run->owed);
    }
    report(run, cpu);
    bool failed = run->failed;
    for (int i = 0; run->producers && i < load->producers; i++) {
        close_connection(&run->producers[i].connection);
        free(run->producers[i].slots);
        free(run->producers[i].bodies);
        free(run->producers[i].ids);
        free(run->producers[i].sent_at);
    }
    for (int i = 0; run->consumers && i < load->consumers; i++) close_connection(&run->consumers[i].connection);
    free(run->producers);
    free(run->consumers);
    free(sockets);
    free(run);
    return !failed;
}

bool line_ask(uint16_t port, const char *requests, int64_t bytes, int64_t count, char error[256]) {
    struct line_result result = {.error = ""};
    struct run *run = calloc(1, sizeof *run);
    struct connection connection = {.socket = -1};
    if (!run) return false;
    run->result = &result;
    if (!open_connection(&connection, port, (size_t)bytes + 1)) fail(run, "no connection: %s", strerror(errno));
    else memcpy(connection.output, requests, (size_t)bytes);
    connection.output_end = (size_t)bytes;
    while (!run->failed && count > 0) {
        struct pollfd socket = {.fd = connection.socket, .events = POLLIN};
        if (!flush(run, &connection)) socket.events |= POLLOUT;
        poll(&socket, 1, -1);
        if (!(socket.revents & ~POLLOUT) || !fill(run, &connection)) continue;
        size_t used = 0;
        char *line;
        while ((line = memchr(connection.input + used, '\n', connection.input_count - used))) {
            if (memcmp(connection.input + used, "OK", 2) != 0)
                fail(run, "%.*s", (int)(line - connection.input - (long)used), connection.input + used);
            used = (size_t)(line - connection.input) + 1;
            count--;
        }
        consume(&connection, used);
    }
    close_connection(&connection);
    bool failed = run->failed;
    memcpy(error, result.error, sizeof result.error);
    free(run);
    return !failed;
}
