# Properties and headers of every type go through unchanged, and so do bodies: hypothesis draws them, pika publishes
# and takes them. What the broker at RABBITMQ_HOST sends is compared bit for bit with what was published, before pika
# makes numbers and texts of it.

import os
import string
import struct

import pika
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

PARAMETERS = pika.ConnectionParameters(os.environ["RABBITMQ_HOST"])
EXAMPLES = int(os.environ.get("INTEROP_EXAMPLES", "300"))


def short_string(text):
    octets = text.encode()
    return bytes([len(octets)]) + octets


def octets_of(text, most):
    return len(text.encode()) <= most


def fixed(kind, form, values):
    return values.map(lambda value: kind + struct.pack(form, value))


def counted(kind, octets):
    return kind + struct.pack(">I", len(octets)) + octets


def whole(bits, signed):
    return st.integers(-(1 << bits - 1), (1 << bits - 1) - 1) if signed else st.integers(0, (1 << bits) - 1)


# Texts without surrogates, and for names at most 255 octets of UTF-8.
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
names = texts.filter(lambda text: octets_of(text, 128))

# A value of a field table as it is on the wire, kind and all, in RabbitMQ's dialect.
scalars = st.one_of(
    st.sampled_from([b"t\x00", b"t\x01", b"V"]),
    fixed(b"b", ">b", whole(8, True)),
    fixed(b"B", ">B", whole(8, False)),
    fixed(b"s", ">h", whole(16, True)),
    fixed(b"u", ">H", whole(16, False)),
    fixed(b"I", ">i", whole(32, True)),
    fixed(b"i", ">I", whole(32, False)),
    fixed(b"l", ">q", whole(64, True)),
    st.binary(min_size=4, max_size=4)
    .filter(lambda octets: octets[0] & 0x7F != 0x7F)
    .map(lambda octets: b"f" + octets),
    st.binary(min_size=8, max_size=8)
    .filter(lambda octets: octets[0] & 0x7F != 0x7F)
    .map(lambda octets: b"d" + octets),
    st.tuples(st.integers(0, 255), whole(32, False)).map(lambda pair: b"D" + struct.pack(">BI", *pair)),
    fixed(b"T", ">Q", whole(64, False)),
    texts.map(lambda text: counted(b"S", text.encode())),
    st.binary(max_size=60).map(lambda octets: counted(b"S", octets)),
    st.binary(max_size=60).map(lambda octets: counted(b"x", octets)),
)


def entries(values):
    """The inside of a table."""
    pairs = st.lists(st.tuples(names, values), max_size=5, unique_by=lambda pair: pair[0])
    return pairs.map(lambda pairs: b"".join(short_string(name) + value for name, value in pairs))


values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4).map(lambda items: counted(b"A", b"".join(items))),
        entries(inner).map(lambda octets: counted(b"F", octets)),
    ),
    max_leaves=12,
)


class RawProperties(pika.BasicProperties):
    """Properties as they are on the wire: flags and values."""

    def __init__(self, octets):
        super().__init__()
        self.octets = octets

    def encode(self):
        return [self.octets]


@st.composite
def properties(draw):
    """Flags and values of any subset of the fourteen properties; the user's is the one who logged in."""
    printable = st.text(string.printable.strip() + " ", max_size=20)
    kinds = [
        (15, names.map(short_string)),
        (14, names.map(short_string)),  # content type and encoding
        (13, entries(values).map(lambda octets: struct.pack(">I", len(octets)) + octets)),
        (12, st.sampled_from([b"\x01", b"\x02"])),
        (11, st.integers(0, 255).map(lambda number: bytes([number]))),
        (10, names.map(short_string)),
        (9, printable.map(short_string)),  # correlation id, reply to
        (8, st.integers(10**6, 2**32 - 1).map(lambda number: short_string(str(number)))),  # expiration
        (7, names.map(short_string)),
        (6, whole(64, False).map(lambda number: struct.pack(">Q", number))),  # message id, timestamp
        (5, names.map(short_string)),
        (4, st.just(short_string("guest"))),
        (3, names.map(short_string)),
        (2, names.map(short_string)),
    ]
    flags, octets = 0, b""
    for bit, strategy in kinds:
        if draw(st.booleans()):
            flags |= 1 << bit
            octets += draw(strategy)
    return RawProperties(struct.pack(">H", flags) + octets)


bodies = st.one_of(st.binary(max_size=200), st.integers(0, 300_000).map(lambda size: b"\xce" * size))


@pytest.fixture(scope="module")
def channel():
    connection = pika.BlockingConnection(PARAMETERS)
    channel = connection.channel()
    channel.confirm_delivery()
    yield channel
    connection.close()


@pytest.fixture()
def wire(monkeypatch):
    """Leaves the octets of received properties in a list, and reads none of them."""
    received = []

    def decode(self, octets, offset=0):
        received.append(bytes(octets[offset:]))
        return self

    monkeypatch.setattr(pika.BasicProperties, "decode", decode)
    return received


def takes_turns(test):
    return settings(max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=list(HealthCheck))(test)


@takes_turns
@given(sent=properties(), body=bodies, durable=st.booleans())
def test_every_octet_of_properties_and_body_goes_through(channel, wire, sent, body, durable):
    queue = "interop-octets-durable" if durable else "interop-octets"
    channel.queue_declare(queue, durable=durable)
    channel.basic_publish("", queue, body, sent, mandatory=True)
    wire.clear()
    method, _, got = channel.basic_get(queue, auto_ack=True)
    assert got == body
    assert wire == [sent.octets]
    assert method.message_count == 0


@takes_turns
@given(sent=properties(), body=bodies)
def test_a_returned_message_is_the_one_that_was_published(channel, wire, sent, body):
    wire.clear()
    with pytest.raises(pika.exceptions.UnroutableError) as refused:
        channel.basic_publish("", "interop-no-such-queue", body, sent, mandatory=True)
    assert refused.value.messages[0].body == body
    assert wire == [sent.octets]


@takes_turns
@given(
    arguments=st.dictionaries(
        names.map(lambda name: f"x-mine-{name}"),
        st.one_of(st.booleans(), whole(32, True), st.none(), texts, st.lists(st.integers(0, 9), max_size=3)),
        max_size=4,
    ),
    key=names,
)
def test_arguments_and_keys_of_any_text_are_taken(channel, arguments, key):
    exchange = "interop-arguments"
    channel.exchange_declare(exchange, "direct", auto_delete=True)
    queue = channel.queue_declare("", exclusive=True, arguments=arguments).method.queue
    channel.queue_bind(queue, exchange, key, arguments=arguments)
    channel.basic_publish(exchange, key, b"x", mandatory=True)
    assert channel.basic_get(queue, auto_ack=True)[0].routing_key == key
    channel.queue_unbind(queue, exchange, key, arguments=arguments)
    channel.queue_delete(queue)
