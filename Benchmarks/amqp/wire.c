// Connections. librabbitmq does the handshake, the synchronous methods and the reading; basic.publish and basic.ack
// are encoded here, and many frames go out in one write, so that the driver costs little beside the broker.
#define _GNU_SOURCE
#include "load.h"

#include <amqp_framing.h>
#include <amqp_tcp_socket.h>
#include <arpa/inet.h>
#include <endian.h>
#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { METHOD = 1, HEADER = 2, BODY = 3, FRAME_END = 0xCE, FRAME_EXTRA = 8, HAS_DELIVERY_MODE = 0x1000 };

uint64_t now_ns(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

void die(const char *format, ...) {
    va_list values;
    va_start(values, format);
    fputs("amqpload: ", stderr);
    vfprintf(stderr, format, values);
    fputc('\n', stderr);
    va_end(values);
    exit(2);
}

void *allocate(size_t count, size_t size) {
    void *memory = calloc(count, size);
    if (!memory) die("no memory for %zu × %zu bytes", count, size);
    return memory;
}

static void check_reply(amqp_rpc_reply_t reply, const char *what) {
    if (reply.reply_type == AMQP_RESPONSE_NORMAL) return;
    if (reply.reply_type != AMQP_RESPONSE_SERVER_EXCEPTION)
        die("%s: %s", what, amqp_error_string2(reply.library_error));
    amqp_bytes_t text = reply.reply.id == AMQP_CHANNEL_CLOSE_METHOD
                            ? ((amqp_channel_close_t *)reply.reply.decoded)->reply_text
                            : ((amqp_connection_close_t *)reply.reply.decoded)->reply_text;
    die("%s: the broker says: %.*s", what, (int)text.len, (char *)text.bytes);
}

void check(amqp_connection_state_t connection, const char *what) {
    check_reply(amqp_get_rpc_reply(connection), what);
}

amqp_connection_state_t dial(int channels) {
    amqp_connection_state_t connection = amqp_new_connection();
    amqp_socket_t *socket = connection ? amqp_tcp_socket_new(connection) : NULL;
    if (!socket) die("no memory for a connection");
    int status = amqp_socket_open(socket, options.host, options.port);
    if (status) die("%s:%d: %s", options.host, options.port, amqp_error_string2(status));
    check_reply(
        amqp_login(
            connection, options.vhost, 0, FRAME_BYTES_MAX, 0, AMQP_SASL_METHOD_PLAIN, options.user, options.password
        ),
        "login"
    );
    for (int number = 1; number <= channels; number++) {
        amqp_channel_open(connection, (amqp_channel_t)number);
        check(connection, "channel.open");
    }
    return connection;
}

void hang_up(amqp_connection_state_t connection) {
    amqp_connection_close(connection, AMQP_REPLY_SUCCESS);
    amqp_destroy_connection(connection);
}

void peer_open(struct peer *peer) {
    peer->connection = dial(1);
    peer->count = 0;
}

void peer_flush(struct peer *peer) {
    int socket = amqp_get_sockfd(peer->connection);
    for (size_t at = 0; at < peer->count;) {
        ssize_t written = write(socket, peer->bytes + at, peer->count - at);
        if (written > 0) {
            at += (size_t)written;
        } else if (errno == EAGAIN) {
            struct pollfd wait = { socket, POLLOUT, 0 };
            poll(&wait, 1, 1000);
        } else if (errno != EINTR) {
            die("write: %s", strerror(errno));
        }
    }
    peer->count = 0;
}

// MARK: Frames

static uint8_t *put_8(uint8_t *at, uint8_t value) {
    *at = value;
    return at + 1;
}

static uint8_t *put_16(uint8_t *at, uint16_t value) {
    value = htobe16(value);
    memcpy(at, &value, sizeof value);
    return at + sizeof value;
}

static uint8_t *put_32(uint8_t *at, uint32_t value) {
    value = htobe32(value);
    memcpy(at, &value, sizeof value);
    return at + sizeof value;
}

static uint8_t *put_64(uint8_t *at, uint64_t value) {
    value = htobe64(value);
    memcpy(at, &value, sizeof value);
    return at + sizeof value;
}

static uint8_t *put_short_string(uint8_t *at, const char *text) {
    size_t length = strlen(text);
    at = put_8(at, (uint8_t)length);
    memcpy(at, text, length);
    return at + length;
}

/// What every frame on channel 1 begins with.
static uint8_t *put_frame(uint8_t *at, uint8_t type, size_t length) {
    return put_32(put_16(put_8(at, type), 1), (uint32_t)length);
}

void peer_publish(struct peer *peer, const char *key, const uint8_t *body) {
    size_t size = (size_t)options.size, names = strlen(options.exchange) + strlen(key) + 2;
    size_t overhead = names + 64;
    if (peer->count + overhead > OUTPUT_BYTES) peer_flush(peer);
    uint8_t *at = peer->bytes + peer->count;
    at = put_frame(at, METHOD, 4 + 2 + names + 1);
    at = put_32(at, AMQP_BASIC_PUBLISH_METHOD);
    at = put_16(at, 0);
    at = put_short_string(put_short_string(at, options.exchange), key);
    at = put_8(put_8(at, 0), FRAME_END);
    at = put_frame(at, HEADER, 2 + 2 + 8 + 2 + 1);
    at = put_64(put_16(put_16(at, AMQP_BASIC_CLASS), 0), size);
    at = put_8(put_8(put_16(at, HAS_DELIVERY_MODE), options.persistent ? 2 : 1), FRAME_END);
    peer->count = (size_t)(at - peer->bytes);
    for (size_t from = 0; from < size;) {
        size_t length = size - from < FRAME_BYTES_MAX - FRAME_EXTRA ? size - from : FRAME_BYTES_MAX - FRAME_EXTRA;
        if (peer->count + length + FRAME_EXTRA > OUTPUT_BYTES) peer_flush(peer);
        at = put_frame(peer->bytes + peer->count, BODY, length);
        memcpy(at, body + from, length);
        at = put_8(at + length, FRAME_END);
        peer->count = (size_t)(at - peer->bytes);
        from += length;
    }
}

void peer_ack(struct peer *peer, uint64_t tag, bool multiple) {
    if (peer->count + 32 > OUTPUT_BYTES) peer_flush(peer);
    uint8_t *at = put_frame(peer->bytes + peer->count, METHOD, 4 + 8 + 1);
    at = put_64(put_32(at, AMQP_BASIC_ACK_METHOD), tag);
    at = put_8(put_8(at, multiple), FRAME_END);
    peer->count = (size_t)(at - peer->bytes);
}

bool peer_has_input(const struct peer *peer) {
    return amqp_frames_enqueued(peer->connection) || amqp_data_in_buffer(peer->connection);
}

bool peer_next(struct peer *peer, uint64_t ns, amqp_frame_t *frame) {
    if (!peer_has_input(peer) && ns > 0) {
        struct pollfd wait = { amqp_get_sockfd(peer->connection), POLLIN, 0 };
        struct timespec time = { (time_t)(ns / 1000000000u), (long)(ns % 1000000000u) };
        if (ppoll(&wait, 1, &time, NULL) <= 0) return false;
    }
    struct timeval none = { 0, 0 };
    int status = amqp_simple_wait_frame_noblock(peer->connection, frame, &none);
    if (status == AMQP_STATUS_TIMEOUT) return false;
    if (status) die("read: %s", amqp_error_string2(status));
    return true;
}

bool broker_answers(void) {
    static const uint8_t header[8] = { 'A', 'M', 'Q', 'P', 0, 0, 9, 1 };
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons((uint16_t)options.port) };
    if (inet_pton(AF_INET, options.host, &address.sin_addr) != 1)
        die("ready wants an address of IPv4, not %s", options.host);
    int peer = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (peer < 0) die("socket: %s", strerror(errno));
    uint8_t first = 0;
    bool answered = connect(peer, (struct sockaddr *)&address, sizeof address) == 0 &&
                    write(peer, header, sizeof header) == sizeof header && read(peer, &first, 1) == 1 &&
                    first == METHOD;
    close(peer);
    return answered;
}
