# Small things that clients' own tests hold a broker to, each as RabbitMQ has it: what is refused, and when; what is
# compared; whose turn it is. Run upon the broker at RABBITMQ_HOST.

import os
import time
import uuid

import amqp
import pika
import pytest

HOST = os.environ["RABBITMQ_HOST"]


@pytest.fixture()
def channel():
    connection = pika.BlockingConnection(pika.ConnectionParameters(HOST))
    yield connection.channel()
    if connection.is_open:
        connection.close()


@pytest.fixture()
def queue(channel):
    return channel.queue_declare("", exclusive=True).method.queue


@pytest.fixture()
def plain():
    """A channel of py-amqp, which compares no names in answers."""
    connection = amqp.Connection(f"{HOST}:5672")
    connection.connect()
    yield connection.channel()
    connection.close()


def refused(code, text, call):
    with pytest.raises(pika.exceptions.ChannelClosedByBroker) as error:
        call()
    assert error.value.reply_code == code
    assert text in error.value.reply_text


def deliver(channel, queue, count):
    for number in range(count):
        channel.basic_publish("", queue, str(number).encode())
    return [channel.basic_get(queue)[0].delivery_tag for _ in range(count)]


def wait_for(channel, queue):
    for method, properties, body in channel.consume(queue, auto_ack=True, inactivity_timeout=5):
        channel.cancel()
        return properties
    raise AssertionError("nothing came")


@pytest.mark.parametrize(
    "source, destination", [("nothing", None), ("amq.direct", "nothing"), ("nothing", "nothing too")]
)
def test_what_is_not_there_can_be_unbound(channel, queue, source, destination):
    channel.queue_unbind(destination or queue, source, "key")
    channel.exchange_unbind(destination or "amq.fanout", source, "key")


def test_nothing_is_unbound_from_the_default_exchange(channel, queue):
    refused(403, "operation not permitted on the default exchange", lambda: channel.queue_unbind(queue, "", queue))


@pytest.mark.parametrize("acked", [1, 2, 3])
def test_several_are_acked_by_a_tag_that_is_held(channel, queue, acked):
    deliver(channel, queue, 3)
    channel.basic_ack(acked)
    channel.basic_ack(acked, multiple=True)
    refused(406, f"unknown delivery tag {acked}", lambda: channel.queue_declare(queue, passive=True))


def test_several_are_refused_by_a_tag_that_is_held(channel, queue):
    deliver(channel, queue, 3)
    channel.basic_ack(0, multiple=True)
    channel.basic_ack(0, multiple=True)
    channel.basic_nack(3, multiple=True)
    refused(406, "unknown delivery tag 3", lambda: channel.queue_declare(queue, passive=True))


def test_a_transaction_knows_at_once_that_a_tag_is_unknown(channel, queue):
    channel.tx_select()
    channel.basic_ack(123456)
    refused(406, "unknown delivery tag 123456", lambda: channel.queue_declare(queue, passive=True))


def test_a_transaction_acks_once(channel, queue):
    deliver(channel, queue, 1)
    channel.tx_select()
    channel.basic_ack(1)
    channel.basic_ack(1)
    refused(406, "unknown delivery tag 1", lambda: channel.queue_declare(queue, passive=True))


def test_recover_leaves_what_a_transaction_acked(channel, queue):
    deliver(channel, queue, 2)
    channel.tx_select()
    channel.basic_ack(1)
    channel.basic_recover(requeue=True)
    assert channel.basic_get(queue, auto_ack=True)[2] == b"1"
    assert channel.basic_get(queue, auto_ack=True)[2] is None


@pytest.mark.parametrize("queue_count, prefetch", [(3, 1), (2, 4)])
def test_a_channels_prefetch_starves_no_queue(channel, queue_count, prefetch):
    queues = [channel.queue_declare("", exclusive=True).method.queue for _ in range(queue_count)]
    for queue in queues:
        for _ in range(100):
            channel.basic_publish("", queue, b"x")
    channel.basic_qos(prefetch_count=prefetch, global_qos=True)
    taken = []

    def on_message(channel, method, properties, body):
        taken.append(method.consumer_tag)
        if len(taken) < 60:
            channel.basic_ack(method.delivery_tag)

    for queue in queues:
        channel.basic_consume(queue, on_message)
    deadline = time.monotonic() + 30
    while len(taken) < 60 and time.monotonic() < deadline:
        channel.connection.process_data_events(time_limit=1)
    left = [channel.queue_declare(queue, passive=True).method.message_count for queue in queues]
    assert all(count < 100 for count in left), left


def test_what_get_took_takes_no_part_in_a_channels_prefetch(channel, queue):
    for _ in range(5):
        channel.basic_publish("", queue, b"x")
    channel.basic_qos(prefetch_count=2, global_qos=True)
    channel.basic_get(queue)
    channel.basic_get(queue)
    taken = []
    channel.basic_consume(queue, lambda channel, method, *_: taken.append(method.delivery_tag))
    deadline = time.monotonic() + 10
    while len(taken) < 2 and time.monotonic() < deadline:
        channel.connection.process_data_events(time_limit=0.5)
    channel.connection.process_data_events(time_limit=0.5)
    assert taken == [3, 4]


def test_unknown_arguments_of_a_queue_make_no_difference(channel):
    name = f"interop-{uuid.uuid4()}"
    channel.queue_declare(name, exclusive=True, arguments={"x-mine": 1})
    channel.queue_declare(name, exclusive=True)
    channel.queue_declare(name, exclusive=True, arguments={"mine": "too"})
    refused(
        406,
        "inequivalent arg 'x-max-length'",
        lambda: channel.queue_declare(name, exclusive=True, arguments={"x-max-length": 1}),
    )


@pytest.mark.parametrize("ttl", [10.0, 10.5])
@pytest.mark.parametrize("is_there", [True, False])
def test_a_ttl_is_a_whole_number(plain, ttl, is_there):
    name = f"interop-{uuid.uuid4()}"
    if is_there:
        plain.queue_declare(name, exclusive=True, arguments={"x-message-ttl": 10})
    with pytest.raises(amqp.exceptions.PreconditionFailed, match="arg 'x-message-ttl' for queue"):
        plain.queue_declare(name, exclusive=True, arguments={"x-message-ttl": ttl})


def test_unknown_arguments_of_an_exchange_make_no_difference(channel):
    channel.exchange_declare("interop-mine", auto_delete=True, arguments={"mine": "foo"})
    channel.exchange_declare("interop-mine", auto_delete=True)
    refused(
        406,
        "inequivalent arg 'alternate-exchange'",
        lambda: channel.exchange_declare(
            "interop-mine", auto_delete=True, arguments={"alternate-exchange": "amq.fanout"}
        ),
    )


def test_names_lose_their_line_ends(plain):
    assert plain.queue_declare("inter\nop\r-lines\n", exclusive=True).queue == "interop-lines"
    assert plain.queue_declare("interop\n-lines", passive=True).queue == "interop-lines"
    plain.queue_delete("interop-\rlines")
    plain.exchange_declare("inter\nop\r-lines\n", "direct")
    plain.exchange_declare("interop-lines", "direct", passive=True)
    plain.exchange_delete("interop-\rlines")
    with pytest.raises(amqp.exceptions.NotFound):
        plain.exchange_declare("interop-lines", "direct", passive=True)


def test_a_dead_letter_that_is_published_again_keeps_its_history(channel):
    dead = channel.queue_declare("", exclusive=True).method.queue
    arguments = {"x-max-length": 0, "x-dead-letter-exchange": "", "x-dead-letter-routing-key": dead}
    first, second = (channel.queue_declare("", exclusive=True, arguments=arguments).method.queue for _ in range(2))

    def pass_through(queue, properties):
        channel.basic_publish("", queue, b"x", properties)
        return wait_for(channel, dead)

    def deaths(properties):
        return [(death["queue"], death["reason"], death["count"]) for death in properties.headers["x-death"]]

    once = pass_through(first, pika.BasicProperties())
    assert deaths(once) == [(first, "maxlen", 1)]
    twice = pass_through(first, once)
    assert deaths(twice) == [(first, "maxlen", 2)]
    elsewhere = pass_through(second, twice)
    assert deaths(elsewhere) == [(second, "maxlen", 1), (first, "maxlen", 2)]
    assert elsewhere.headers["x-first-death-queue"] == first
    assert deaths(pass_through(second, pika.BasicProperties(headers={"x-death": "no array"}))) == [
        (second, "maxlen", 1)
    ]


def test_counts_of_deaths_are_long_integers(channel):
    dead = channel.queue_declare("", exclusive=True).method.queue
    source = channel.queue_declare(
        "",
        exclusive=True,
        arguments={"x-message-ttl": 0, "x-dead-letter-exchange": "", "x-dead-letter-routing-key": dead},
    ).method.queue
    channel.basic_publish("", source, b"x")
    assert type(wait_for(channel, dead).headers["x-death"][0]["count"]) is pika.compat.long


@pytest.mark.parametrize("ask", ["qos", "confirm", "transaction"])
def test_what_a_publish_causes_comes_before_a_later_answer(plain, ask):
    asks = {"qos": lambda: plain.basic_qos(0, 1, False), "confirm": plain.confirm_select, "transaction": plain.tx_select}
    returned = []
    plain.events["basic_return"].add(lambda *answer: returned.append(answer))
    plain.basic_publish(amqp.Message("x"), "", "interop-no-such-queue", mandatory=True)
    plain.basic_publish(amqp.Message("x"), "interop-no-such-exchange", "")
    with pytest.raises(amqp.exceptions.NotFound):
        asks[ask]()
    assert len(returned) == 1
