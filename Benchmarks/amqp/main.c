// amqpload: a load driver for AMQP 0-9-1 brokers, on librabbitmq. Reads the command line and prints what was found,
// one line of JSON; `side-by-side` runs it upon two brokers. Ends with 1 where a message was lost, doubled, damaged,
// nacked or left unconfirmed.
#define _GNU_SOURCE
#include "load.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

struct options options = {
    .host = "127.0.0.1",
    .user = "guest",
    .password = "guest",
    .vhost = "/",
    .queue = "load",
    .exchange = "",
    .exchange_type = "fanout",
    .queue_type = "",
    .folder = ".",
    .port = 5672,
    .producers = 1,
    .consumers = 1,
    .queues = 1,
    .prefetch = 256,
    .ack_every = 1,
    .count = 1000,
    .size = 1024,
    .messages = 100000,
    .window = 256,
};

static const char usage[] =
    "amqpload WHAT [OPTION…]: loads an AMQP 0-9-1 broker and prints one line of JSON\n"
    "\n"
    "  messages      publish, consume and check every message\n"
    "  connections   open --count connections with a channel each, and leave them idle for a second\n"
    "  channels      open --count channels on one connection, with a consumer each\n"
    "  queues        declare --count durable queues\n"
    "  ready         ask until the broker answers, print the time of day\n"
    "  probe         print how many syncs a second the disk of --folder does\n"
    "\n"
    "The broker:\n"
    "  --host A --port N --user U --password P --vhost V    (127.0.0.1 5672 guest guest /)\n"
    "  --process N       its process here; adds what it uses of processor and memory\n"
    "Messages:\n"
    "  --messages N      how many are published (100000), of --size N bytes (1024), --persistent\n"
    "  --producers N     each with a connection of its own (1)\n"
    "  --window N        at most so many unconfirmed of each producer (256), 0: publish without confirms\n"
    "  --rate N          publish so many a second altogether, and measure from when each was due\n"
    "  --consumers N     each with a connection of its own (1), --prefetch N (256), --ack-every N (1) or --auto-ack\n"
    "  --lag N           leave the last N deliveries of each consumer unacked while more come\n"
    "Routing:\n"
    "  --queue Q         the queue's name (load), --queue-type T\n"
    "  --queues N        so many queues (1), Q.0 and on; each needs a consumer\n"
    "  --exchange X --exchange-type T    bound to every queue (none: the default exchange)\n"
    "  --bindings N      with so many different keys (1, an empty one); messages get one of --keys N keys (as many)\n";

static int by_value(const void *left, const void *right) {
    uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;
    return (a > b) - (a < b);
}

static void print_quantiles(const char *name, const struct worker *workers, int worker_count) {
    size_t count = 0;
    for (int index = 0; index < worker_count; index++) count += workers[index].waits.count;
    if (!count) return;
    uint64_t *all = allocate(count, sizeof *all);
    size_t at = 0;
    for (int index = 0; index < worker_count; index++) {
        const struct samples *waits = &workers[index].waits;
        if (waits->count) memcpy(all + at, waits->values, waits->count * sizeof *all);
        at += waits->count;
    }
    qsort(all, count, sizeof *all, by_value);
    printf(
        ",\"%s_ms\":{\"p50\":%.3f,\"p99\":%.3f,\"max\":%.3f}", name, (double)all[count / 2] / 1e6,
        (double)all[(size_t)((double)count * 0.99)] / 1e6, (double)all[count - 1] / 1e6
    );
    free(all);
}

static struct worker sum(const struct worker *workers, int count) {
    struct worker sum = { .first_ns = UINT64_MAX };
    for (int index = 0; index < count; index++) {
        const struct worker *each = &workers[index];
        sum.count += each->count, sum.confirmed += each->confirmed, sum.nacked += each->nacked;
        sum.doubled += each->doubled, sum.damaged += each->damaged;
        if (each->first_ns < sum.first_ns) sum.first_ns = each->first_ns;
        if (each->last_ns > sum.last_ns) sum.last_ns = each->last_ns;
    }
    return sum;
}

/// Prints what came of the messages; false if something is wrong with one. The rate is that of deliveries if there are
/// consumers, else of publishes, from the first publish to the last delivery or confirm.
static bool print_messages(void) {
    struct worker *producers = allocate((size_t)options.producers, sizeof *producers);
    struct worker *consumers = allocate((size_t)options.consumers + 1, sizeof *consumers);
    double used = run_messages(producers, consumers);
    struct rusage own;
    getrusage(RUSAGE_SELF, &own);
    struct worker published = sum(producers, options.producers), consumed = sum(consumers, options.consumers);
    uint64_t end_ns = published.last_ns > consumed.last_ns ? published.last_ns : consumed.last_ns;
    long wanted = options.consumers ? options.messages * options.queues : 0,
         done = options.consumers ? consumed.count : published.count;
    long unconfirmed = options.window ? options.messages - published.confirmed - published.nacked : 0;
    printf("{\"rate\":%.0f", (double)done * 1e9 / (double)(end_ns - published.first_ns));
    if (options.process)
        printf(",\"broker_us\":%.2f,\"resident_mib\":%.1f", used * 1e6 / (double)done, resident_mib(options.process));
    printf(
        ",\"client_us\":%.2f", ((double)(own.ru_utime.tv_sec + own.ru_stime.tv_sec) * 1e6 +
                                (double)(own.ru_utime.tv_usec + own.ru_stime.tv_usec)) /
                                   (double)done
    );
    print_quantiles("confirm", producers, options.producers);
    print_quantiles("delivery", consumers, options.consumers);
    printf(
        ",\"published\":%ld,\"unconfirmed\":%ld,\"nacked\":%ld,\"lost\":%ld,\"doubled\":%ld,\"damaged\":%ld}\n",
        published.count, unconfirmed, published.nacked, wanted - (options.consumers ? consumed.count : 0),
        consumed.doubled, consumed.damaged
    );
    return !unconfirmed && !published.nacked && (!options.consumers || consumed.count == wanted) &&
           !consumed.doubled && !consumed.damaged;
}

static long number(const char *name, const char *text, long least, long most) {
    char *end;
    long value = strtol(text, &end, 10);
    if (!*text || *end || value < least || value > most) die("--%s is %ld to %ld, not %s", name, least, most, text);
    return value;
}

static void read_options(int count, char **words) {
    enum {
        HOST = 256,
        PORT,
        USER,
        PASSWORD,
        VHOST,
        PROCESS,
        MESSAGES,
        SIZE,
        PERSISTENT,
        PRODUCERS,
        WINDOW,
        RATE,
        CONSUMERS,
        PREFETCH,
        ACK_EVERY,
        AUTO_ACK,
        LAG,
        QUEUE,
        QUEUES,
        QUEUE_TYPE,
        EXCHANGE,
        EXCHANGE_TYPE,
        BINDINGS,
        KEYS,
        COUNT,
        FOLDER
    };
    static const struct option names[] = {
        { "host", 1, 0, HOST },
        { "port", 1, 0, PORT },
        { "user", 1, 0, USER },
        { "password", 1, 0, PASSWORD },
        { "vhost", 1, 0, VHOST },
        { "process", 1, 0, PROCESS },
        { "messages", 1, 0, MESSAGES },
        { "size", 1, 0, SIZE },
        { "persistent", 0, 0, PERSISTENT },
        { "producers", 1, 0, PRODUCERS },
        { "window", 1, 0, WINDOW },
        { "rate", 1, 0, RATE },
        { "consumers", 1, 0, CONSUMERS },
        { "prefetch", 1, 0, PREFETCH },
        { "ack-every", 1, 0, ACK_EVERY },
        { "auto-ack", 0, 0, AUTO_ACK },
        { "lag", 1, 0, LAG },
        { "queue", 1, 0, QUEUE },
        { "queues", 1, 0, QUEUES },
        { "queue-type", 1, 0, QUEUE_TYPE },
        { "exchange", 1, 0, EXCHANGE },
        { "exchange-type", 1, 0, EXCHANGE_TYPE },
        { "bindings", 1, 0, BINDINGS },
        { "keys", 1, 0, KEYS },
        { "count", 1, 0, COUNT },
        { "folder", 1, 0, FOLDER },
        { 0 },
    };
    int index = 0;
    for (int option; (option = getopt_long(count, words, "", names, &index)) != -1;) {
        const char *name = option == '?' ? "" : names[index].name;
        switch (option) {
        case HOST: options.host = optarg; break;
        case PORT: options.port = (int)number(name, optarg, 1, 65535); break;
        case USER: options.user = optarg; break;
        case PASSWORD: options.password = optarg; break;
        case VHOST: options.vhost = optarg; break;
        case PROCESS: options.process = (int)number(name, optarg, 1, 1 << 30); break;
        case MESSAGES: options.messages = number(name, optarg, 1, 1 << 28); break;
        case SIZE: options.size = number(name, optarg, STAMP_BYTES, 128 << 20); break;
        case PERSISTENT: options.persistent = true; break;
        case PRODUCERS: options.producers = (int)number(name, optarg, 1, PRODUCERS_MAX); break;
        case WINDOW: options.window = number(name, optarg, 0, 1 << 20); break;
        case RATE: options.rate = number(name, optarg, 1, 10000000); break;
        case CONSUMERS: options.consumers = (int)number(name, optarg, 0, QUEUES_MAX); break;
        case PREFETCH: options.prefetch = (int)number(name, optarg, 0, UINT16_MAX); break;
        case ACK_EVERY: options.ack_every = (int)number(name, optarg, 1, UINT16_MAX); break;
        case AUTO_ACK: options.auto_ack = true; break;
        case LAG: options.lag = (int)number(name, optarg, 0, UINT16_MAX - 1); break;
        case QUEUE: options.queue = optarg; break;
        case QUEUES: options.queues = (int)number(name, optarg, 1, QUEUES_MAX); break;
        case QUEUE_TYPE: options.queue_type = optarg; break;
        case EXCHANGE: options.exchange = optarg; break;
        case EXCHANGE_TYPE: options.exchange_type = optarg; break;
        case BINDINGS: options.bindings = (int)number(name, optarg, 0, 1000000); break;
        case KEYS: options.keys = (int)number(name, optarg, 1, 10000000); break;
        case COUNT: options.count = (int)number(name, optarg, 1, 10000000); break;
        case FOLDER: options.folder = optarg; break;
        default: fputs(usage, stderr); exit(2);
        }
    }
    if (optind < count) die("what is %s?", words[optind]);
    if (!options.keys) options.keys = options.bindings;
    if (options.consumers && options.consumers < options.queues)
        die("each of %d queues needs a consumer", options.queues);
    if (!options.auto_ack && options.prefetch && options.lag + options.ack_every > options.prefetch)
        die("--lag and --ack-every together are at most --prefetch, or nothing would come any more");
}

int main(int count, char **words) {
    const char *what = count > 1 ? words[1] : "";
    if (!strcmp(what, "--help") || !strcmp(what, "help")) return fputs(usage, stdout) < 0;
    if (count > 1) read_options(count - 1, words + 1);
    if (!strcmp(what, "messages")) return !print_messages();
    if (!strcmp(what, "connections")) run_connections();
    else if (!strcmp(what, "channels")) run_channels();
    else if (!strcmp(what, "queues")) run_queues();
    else if (!strcmp(what, "ready")) run_ready();
    else if (!strcmp(what, "probe")) run_probe();
    else return fputs(usage, stderr), 2;
    return 0;
}
