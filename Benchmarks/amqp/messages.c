// Producers and consumers: a thread and a connection each. A body begins with the time, the producer and a number that
// is unique in the run, so that each queue's consumers find what is lost, doubled or damaged. A paced producer writes
// the time at which the message was due, so that a broker that stalls can't hide it.
#define _GNU_SOURCE
#include "load.h"

#include <amqp_framing.h>
#include <endian.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { KEY_BYTES = 64, LAST_BYTE = '!', NS_PER_SECOND = 1000000000 };

static pthread_barrier_t everybody_is_ready;
static atomic_long received;
static _Atomic uint64_t last_received_ns;
static atomic_uchar *seen[QUEUES_MAX];
static char (*keys)[KEY_BYTES];

static void add(struct samples *samples, uint64_t value) {
    if (samples->count == samples->capacity) {
        samples->capacity = samples->capacity ? 2 * samples->capacity : 65536;
        samples->values = realloc(samples->values, samples->capacity * sizeof *samples->values);
        if (!samples->values) die("no memory for %zu samples", samples->capacity);
    }
    samples->values[samples->count++] = value;
}

static amqp_bytes_t queue_name(int index, char *buffer, size_t size) {
    if (options.queues == 1) snprintf(buffer, size, "%s", options.queue);
    else snprintf(buffer, size, "%s.%d", options.queue, index);
    return amqp_cstring_bytes(buffer);
}

// MARK: What messages are routed by

/// The key of a binding: four shapes in turn where the exchange is a topic exchange, else words only.
static void binding_key(int index, char *buffer) {
    int area = index % 100, device = index / 100;
    bool is_topic = strcmp(options.exchange_type, "topic") == 0;
    switch (is_topic ? index % 4 : 0) {
    case 0: snprintf(buffer, KEY_BYTES, "r%d.d%d.k", area, device); break;
    case 1: snprintf(buffer, KEY_BYTES, "r%d.*.x%d", area, device); break;
    case 2: snprintf(buffer, KEY_BYTES, "r%d.d%d.#", area, device); break;
    default: snprintf(buffer, KEY_BYTES, "*.y%d.e%d.#", area, device);
    }
}

/// A key that the binding `index` matches, with a word by chance where its key has a `*` or a `#`.
static void matching_key(int index, unsigned *seed, char *buffer) {
    int area = index % 100, device = index / 100, word = rand_r(seed) % 1000;
    bool is_topic = strcmp(options.exchange_type, "topic") == 0;
    switch (is_topic ? index % 4 : 0) {
    case 0: snprintf(buffer, KEY_BYTES, "r%d.d%d.k", area, device); break;
    case 1: snprintf(buffer, KEY_BYTES, "r%d.w%d.x%d", area, word, device); break;
    case 2: snprintf(buffer, KEY_BYTES, word & 1 ? "r%d.d%d.w%d.v" : "r%d.d%d.w%d", area, device, word); break;
    default: snprintf(buffer, KEY_BYTES, "w%d.y%d.e%d.z", word, area, device);
    }
}

static void make_keys(void) {
    int count = options.bindings ? options.keys : 1;
    unsigned seed = 7;
    keys = allocate((size_t)count, KEY_BYTES);
    if (options.bindings)
        for (int index = 0; index < count; index++) matching_key(rand_r(&seed) % options.bindings, &seed, keys[index]);
    else if (!*options.exchange) queue_name(0, keys[0], KEY_BYTES);
}

// MARK: Before and after

static void tidy(amqp_connection_state_t connection) {
    char name[300];
    for (int index = 0; index < options.queues; index++) {
        amqp_queue_delete(connection, 1, queue_name(index, name, sizeof name), 0, 0);
        check(connection, "queue.delete");
    }
    if (!*options.exchange) return;
    amqp_exchange_delete(connection, 1, amqp_cstring_bytes(options.exchange), 0);
    check(connection, "exchange.delete");
}

static void declare(amqp_connection_state_t connection) {
    char name[300], key[KEY_BYTES];
    amqp_bytes_t exchange = amqp_cstring_bytes(options.exchange);
    amqp_table_entry_t type = {
        amqp_cstring_bytes("x-queue-type"),
        { AMQP_FIELD_KIND_UTF8, { .bytes = amqp_cstring_bytes(options.queue_type) } },
    };
    amqp_table_t arguments = { *options.queue_type ? 1 : 0, &type };
    if (*options.exchange) {
        amqp_exchange_declare(
            connection, 1, exchange, amqp_cstring_bytes(options.exchange_type), 0, options.persistent, 0, 0,
            amqp_empty_table
        );
        check(connection, "exchange.declare");
    }
    for (int index = 0; index < options.queues; index++) {
        amqp_bytes_t queue = queue_name(index, name, sizeof name);
        amqp_queue_declare(connection, 1, queue, 0, options.persistent, 0, 0, arguments);
        check(connection, "queue.declare");
        int bindings = *options.exchange ? (options.bindings ? options.bindings : 1) : 0;
        for (int binding = 0; binding < bindings; binding++) {
            *key = 0;
            if (options.bindings) binding_key(binding, key);
            amqp_queue_bind(connection, 1, queue, exchange, amqp_cstring_bytes(key), amqp_empty_table);
            check(connection, "queue.bind");
            amqp_maybe_release_buffers(connection);
        }
    }
}

// MARK: Producers

/// Confirms that are due: when each message was sent, 0 once it is confirmed, in a ring of as many as may be
/// unconfirmed.
struct unconfirmed {
    uint64_t *sent_ns;
    uint64_t first, next;
};

static void confirmed(struct worker *me, struct unconfirmed *due, const amqp_frame_t *frame) {
    if (frame->frame_type != AMQP_FRAME_METHOD) return;
    uint64_t tag;
    bool multiple, is_ack = frame->payload.method.id == AMQP_BASIC_ACK_METHOD;
    if (is_ack) {
        const amqp_basic_ack_t *ack = frame->payload.method.decoded;
        tag = ack->delivery_tag, multiple = ack->multiple;
    } else if (frame->payload.method.id == AMQP_BASIC_NACK_METHOD) {
        const amqp_basic_nack_t *nack = frame->payload.method.decoded;
        tag = nack->delivery_tag, multiple = nack->multiple;
    } else {
        die("a producer was sent %s", amqp_method_name(frame->payload.method.id));
    }
    uint64_t now = now_ns();
    for (uint64_t each = multiple ? due->first : tag; each <= tag && each < due->next; each++) {
        uint64_t *sent = &due->sent_ns[each % (uint64_t)options.window];
        if (!*sent) continue;
        add(&me->waits, now - *sent);
        *sent = 0;
        if (is_ack) me->confirmed++;
        else me->nacked++;
    }
    while (due->first < due->next && !due->sent_ns[due->first % (uint64_t)options.window]) due->first++;
    me->last_ns = now;
}

/// Takes confirms until fewer than `most` messages are unconfirmed.
static void await_confirms(struct worker *me, struct peer *peer, struct unconfirmed *due, uint64_t most) {
    amqp_frame_t frame;
    while (due->next - due->first >= most) {
        if (peer->count && !peer_has_input(peer)) peer_flush(peer);
        if (!peer_next(peer, (uint64_t)SILENCE_SECONDS_MAX * NS_PER_SECOND, &frame))
            die("no confirm for %d s", SILENCE_SECONDS_MAX);
        confirmed(me, due, &frame);
        while (peer_has_input(peer) && peer_next(peer, 0, &frame)) confirmed(me, due, &frame);
        amqp_maybe_release_buffers(peer->connection);
    }
}

/// Waits until the message is due, and takes confirms meanwhile.
static void await_turn(struct worker *me, struct peer *peer, struct unconfirmed *due, uint64_t turn_ns) {
    amqp_frame_t frame;
    for (uint64_t now = now_ns(); now < turn_ns; now = now_ns()) {
        peer_flush(peer);
        if (peer_next(peer, turn_ns - now, &frame)) confirmed(me, due, &frame);
        amqp_maybe_release_buffers(peer->connection);
    }
}

static void *produce(void *argument) {
    struct worker *me = argument;
    struct peer *peer = allocate(1, sizeof *peer);
    struct unconfirmed due = { options.window ? allocate((size_t)options.window, sizeof(uint64_t)) : NULL, 1, 1 };
    uint8_t *body = allocate(1, (size_t)options.size);
    body[options.size - 1] = LAST_BYTE;
    unsigned seed = 7 + (unsigned)me->index;
    peer_open(peer);
    if (options.window) {
        amqp_confirm_select(peer->connection, 1);
        check(peer->connection, "confirm.select");
    }
    pthread_barrier_wait(&everybody_is_ready);
    me->first_ns = now_ns();
    for (long number = me->index; number < options.messages; number += options.producers) {
        uint64_t sent_ns = 0;
        if (options.rate) {
            sent_ns = me->first_ns + (uint64_t)((double)NS_PER_SECOND * (double)number / (double)options.rate);
            await_turn(me, peer, &due, sent_ns);
        }
        if (options.window) await_confirms(me, peer, &due, (uint64_t)options.window);
        if (!sent_ns) sent_ns = now_ns();
        uint64_t time = htobe64(sent_ns);
        uint32_t who = htobe32((uint32_t)me->index), what = htobe32((uint32_t)number);
        memcpy(body, &time, 8);
        memcpy(body + 8, &who, 4);
        memcpy(body + 12, &what, 4);
        if (options.window) due.sent_ns[due.next % (uint64_t)options.window] = sent_ns;
        peer_publish(peer, options.bindings ? keys[rand_r(&seed) % options.keys] : keys[0], body);
        due.next++;
        me->count++;
        if (options.rate || peer->count >= WRITE_AT_BYTES) peer_flush(peer);
    }
    peer_flush(peer);
    me->last_ns = now_ns();
    if (options.window) await_confirms(me, peer, &due, 1);
    hang_up(peer->connection);
    free(due.sent_ns);
    free(body);
    free(peer);
    return NULL;
}

// MARK: Consumers

static void take(struct worker *me, atomic_uchar *seen_here, amqp_bytes_t body, uint64_t now) {
    uint64_t time;
    uint32_t who, what;
    const uint8_t *bytes = body.bytes;
    if (body.len != (size_t)options.size) {
        me->damaged++;
        return;
    }
    memcpy(&time, bytes, 8);
    memcpy(&who, bytes + 8, 4);
    memcpy(&what, bytes + 12, 4);
    what = be32toh(what);
    if (be32toh(who) >= (uint32_t)options.producers || what >= (uint32_t)options.messages ||
        (options.size > STAMP_BYTES && bytes[options.size - 1] != LAST_BYTE)) {
        me->damaged++;
    } else if (atomic_exchange(&seen_here[what], 1)) {
        me->doubled++;
    } else {
        if (options.rate) add(&me->waits, now - be64toh(time));
        me->count++;
        atomic_fetch_add(&received, 1);
    }
}

/// Waits for input; false where there was none for so long that none will come.
static bool await_input(struct peer *peer) {
    struct pollfd wait = { amqp_get_sockfd(peer->connection), POLLIN, 0 };
    if (poll(&wait, 1, 100) > 0) return true;
    return now_ns() - atomic_load(&last_received_ns) < (uint64_t)SILENCE_SECONDS_MAX * NS_PER_SECOND;
}

static void *consume(void *argument) {
    struct worker *me = argument;
    struct peer *peer = allocate(1, sizeof *peer);
    int queue = me->index % options.queues;
    long wanted = options.messages * options.queues;
    char name[300];
    peer_open(peer);
    if (!options.auto_ack) {
        amqp_basic_qos(peer->connection, 1, 0, (uint16_t)options.prefetch, 0);
        check(peer->connection, "basic.qos");
    }
    amqp_basic_consume(
        peer->connection, 1, queue_name(queue, name, sizeof name), amqp_empty_bytes, 0, options.auto_ack, 0,
        amqp_empty_table
    );
    check(peer->connection, "basic.consume");
    pthread_barrier_wait(&everybody_is_ready);
    uint64_t tag = 0;
    while (atomic_load(&received) < wanted) {
        if (!peer_has_input(peer)) {
            if (peer->count) peer_flush(peer);
            struct pollfd wait = { amqp_get_sockfd(peer->connection), POLLIN, 0 };
            if (poll(&wait, 1, 0) <= 0) {
                if (!await_input(peer)) break;
                continue;
            }
        }
        amqp_envelope_t envelope;
        amqp_maybe_release_buffers(peer->connection);
        amqp_rpc_reply_t reply = amqp_consume_message(peer->connection, &envelope, NULL, 0);
        if (reply.reply_type != AMQP_RESPONSE_NORMAL) die("a consumer: %s", amqp_error_string2(reply.library_error));
        uint64_t now = now_ns();
        take(me, seen[queue], envelope.message.body, now);
        me->last_ns = now;
        atomic_store(&last_received_ns, now);
        tag = envelope.delivery_tag;
        amqp_destroy_envelope(&envelope);
        if (!options.auto_ack && tag > (uint64_t)options.lag && tag % (uint64_t)options.ack_every == 0)
            peer_ack(peer, tag - (uint64_t)options.lag, options.ack_every > 1);
        if (peer->count >= WRITE_AT_BYTES) peer_flush(peer);
    }
    if (!options.auto_ack && tag && (options.lag || options.ack_every > 1)) peer_ack(peer, tag, true);
    peer_flush(peer);
    hang_up(peer->connection);
    free(peer);
    return NULL;
}

double run_messages(struct worker *producers, struct worker *consumers) {
    pthread_t threads[PRODUCERS_MAX + QUEUES_MAX];
    amqp_connection_state_t connection = dial(1);
    tidy(connection);
    declare(connection);
    make_keys();
    for (int index = 0; index < options.queues; index++) seen[index] = allocate((size_t)options.messages, 1);
    pthread_barrier_init(&everybody_is_ready, NULL, (unsigned)(options.producers + options.consumers));
    atomic_store(&last_received_ns, now_ns());
    double used = processor_seconds(options.process);
    int count = 0;
    for (int index = 0; index < options.consumers; index++) {
        consumers[index].index = index;
        if (pthread_create(&threads[count++], NULL, consume, &consumers[index])) die("no thread");
    }
    for (int index = 0; index < options.producers; index++) {
        producers[index].index = index;
        if (pthread_create(&threads[count++], NULL, produce, &producers[index])) die("no thread");
    }
    for (int index = 0; index < count; index++) pthread_join(threads[index], NULL);
    used = processor_seconds(options.process) - used;
    tidy(connection);
    hang_up(connection);
    return used;
}
