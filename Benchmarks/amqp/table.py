# `table.py RESULTS`: the table of `side-by-side`, made of its lines of case, broker and found JSON: the medians of all
# rounds, and how many times RabbitMQ's Leveret's is.

import json
import sys
from statistics import median

# Case, field, unit, whether more is better, target as a ratio, target for Leveret alone.
ROWS = [
    ("durable, 1+1, window 256", "rate", "msg/s", True, 10, 250_000),
    ("durable, every message committed", "rate", "msg/s", True, 5, 120_000),
    ("window 1, acked by a consumer", "rate", "msg/s", True, 2, None),
    ("window 1, committed", "rate", "msg/s", True, 1, None),
    ("durable, 4+4", "rate", "msg/s", True, 10, 200_000),
    ("transient 1 KiB", "rate", "msg/s", True, 6, 500_000),
    ("transient 100 B", "rate", "msg/s", True, 8, 1_000_000),
    ("fanout to 10, transient", "rate", "deliveries/s", True, 10, 500_000),
    ("fanout to 10, durable", "rate", "deliveries/s", True, None, 150_000),
    ("direct, 10,000 bindings", "rate", "msg/s", True, None, None),
    ("topic, 10,000 bindings", "rate", "msg/s", True, 10, None),
    ("paced 5,000/s", "confirm_ms.p50", "ms", False, None, 0.4),
    ("paced 5,000/s", "confirm_ms.p99", "ms", False, None, None),
    ("paced 5,000/s", "delivery_ms.p50", "ms", False, None, 0.25),
    ("paced 5,000/s", "delivery_ms.p99", "ms", False, None, 1.5),
    ("idle connections", "resident_mib", "MiB", False, None, 200),
    ("idle connections", "rate", "connections/s", True, None, None),
    ("channels of a connection", "with_a_consumer_each_ms", "ms", False, None, None),
    ("queues declared", "first_tenth_rate", "queues/s", True, None, None),
    ("queues declared", "last_tenth_rate", "queues/s", True, None, None),
    ("queues declared", "resident_mib", "MiB", False, None, None),
    ("start to AMQP ready", "ready_ms", "ms", False, None, 25),
    ("start to AMQP ready", "idle_mib", "MiB", False, None, 20),
]


def read(path):
    found = {}
    for line in open(path, encoding="utf-8"):
        case, broker, result = line.rstrip("\n").split("\t")
        found.setdefault((case, broker), []).append(json.loads(result))
    return found


def field(results, name):
    values = []
    for result in results:
        for part in name.split("."):
            result = result.get(part, {}) if isinstance(result, dict) else {}
        if result != {}:
            values.append(result)
    return median(values) if values else None


def shown(value):
    if value is None:
        return ""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def main(found):
    print("| case | RabbitMQ | Leveret | unit | × | µs of the broker each | target |\n|---|---|---|---|---|---|---|")
    for case, name, unit, more, times, least in ROWS:
        theirs, ours = (field(found.get((case, broker), []), name) for broker in ("RabbitMQ", "Leveret"))
        if theirs is None and ours is None:
            continue
        ratio = (ours / theirs if more else theirs / ours) if theirs and ours else None
        used = (
            [field(found.get((case, broker), []), "broker_us") for broker in ("RabbitMQ", "Leveret")]
            if name == "rate"
            else []
        )
        targets = [f"≥ {times} ×"] * bool(times) + [f"{'≥' if more else '≤'} {shown(least)}"] * bool(least)
        missed = (times and ratio and ratio < times) or (least and ours and (ours < least if more else ours > least))
        cells = [
            case + ("" if name == "rate" else f": {name}"),
            shown(theirs),
            shown(ours),
            unit,
            f"{ratio:.1f}" if ratio else "",
            " · ".join(shown(value) for value in used if value is not None),
            ", ".join(targets) + (", **missed**" if missed else ""),
        ]
        print("| " + " | ".join(cells) + " |")
    topic, direct = (
        field(found.get((f"{kind}, 10,000 bindings", "Leveret"), []), "rate") for kind in ("topic", "direct")
    )
    if topic and direct:
        print(f"\nLeveret's topic ÷ direct, 10,000 bindings each: {topic / direct:.2f} (target: ≥ 0.8)")
    syncs = [value for (_, broker), values in found.items() if broker == "disk" for value in values]
    if syncs:
        print(f"Disk: {median(syncs):,.0f} syncs of 4 KiB a second ({min(syncs):,.0f} to {max(syncs):,.0f})")


main(read(sys.argv[1]))
