# pika and amqp-tools against the broker at RABBITMQ_HOST: what the tutorials show, and that nothing of a message is
# lost.

import decimal
import os
import shutil
import subprocess
import uuid
from datetime import datetime, timezone

import pika
import pytest

HOST = os.environ["RABBITMQ_HOST"]
URL = f"amqp://guest:guest@{HOST}:5672/%2F"


@pytest.fixture()
def channel():
    connection = pika.BlockingConnection(pika.URLParameters(URL))
    yield connection.channel()
    if connection.is_open:
        connection.close()


@pytest.fixture()
def queue(channel):
    name = f"interop-{uuid.uuid4()}"
    channel.queue_declare(name, durable=True)
    yield name
    other = pika.BlockingConnection(pika.URLParameters(URL))
    other.channel().queue_delete(name)
    other.close()


def test_work_queue(channel, queue):
    channel.confirm_delivery()
    for number in range(100):
        properties = pika.BasicProperties(delivery_mode=2)
        channel.basic_publish("", queue, str(number).encode(), properties, mandatory=True)
    channel.basic_qos(prefetch_count=10)
    bodies = []
    for method, _, body in channel.consume(queue, inactivity_timeout=5):
        bodies.append(int(body))
        channel.basic_ack(method.delivery_tag)
        if len(bodies) == 100:
            break
    channel.cancel()
    assert bodies == list(range(100))
    assert channel.queue_declare(queue, passive=True).method.message_count == 0


def test_unroutable_is_returned(channel):
    channel.confirm_delivery()
    with pytest.raises(pika.exceptions.UnroutableError):
        channel.basic_publish("", "no-such-queue", b"x", mandatory=True)


def test_topics(channel):
    exchange = f"topics-{uuid.uuid4()}"
    channel.exchange_declare(exchange, "topic", auto_delete=True)
    mine = channel.queue_declare("", exclusive=True).method.queue
    assert mine.startswith("amq.gen-")
    channel.queue_bind(mine, exchange, "*.orange.#")
    for key in ["quick.orange.rabbit", "lazy.brown.fox", "lazy.orange"]:
        channel.basic_publish(exchange, key, key.encode())
    got = [channel.basic_get(mine, auto_ack=True)[2] for _ in range(3)]
    assert got == [b"quick.orange.rabbit", b"lazy.orange", None]


def test_direct_reply_to(channel, queue):
    answers = []
    channel.basic_consume(
        "amq.rabbitmq.reply-to", lambda ch, method, properties, body: answers.append(body), auto_ack=True
    )
    channel.basic_publish("", queue, b"7", pika.BasicProperties(reply_to="amq.rabbitmq.reply-to"))
    server = pika.BlockingConnection(pika.URLParameters(URL)).channel()
    _, properties, body = server.basic_get(queue, auto_ack=True)
    server.basic_publish("", properties.reply_to, str(int(body) ** 2).encode())
    server.connection.close()
    channel.connection.process_data_events(time_limit=5)
    assert answers == [b"49"]


@pytest.mark.parametrize("mode", [None, 1, 2])
def test_properties_go_through(channel, queue, mode):
    sent = pika.BasicProperties(
        content_type="text/plain",
        content_encoding="utf-8",
        delivery_mode=mode,
        priority=7,
        correlation_id="c",
        reply_to="r",
        expiration="60000",
        message_id="m",
        timestamp=1234567890,
        type="t",
        user_id="guest",
        app_id="a",
        cluster_id="k",
        headers={
            "bool": True,
            "small": 3,
            "big": 1 << 40,
            "negative": -5,
            "text": "\u00fc",
            "bytes": b"\x00\xff",
            "none": None,
            "list": [1, "two", [3]],
            "table": {"inside": {"deep": 1}},
            "decimal": decimal.Decimal("1.25"),
            "time": datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc),
            "empty": {},
            "emptylist": [],
        },
    )
    channel.basic_publish("", queue, b"x", sent)
    _, got, body = channel.basic_get(queue, auto_ack=True)
    assert body == b"x"
    assert got == sent


def test_no_properties_stay_none(channel, queue):
    channel.basic_publish("", queue, b"")
    _, got, body = channel.basic_get(queue, auto_ack=True)
    assert got == pika.BasicProperties()
    assert body == b""


def test_dead_letters(channel, queue):
    source = f"{queue}.source"
    arguments = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": queue, "x-message-ttl": 50}
    channel.queue_declare(source, arguments=arguments)
    channel.basic_publish("", source, b"x", pika.BasicProperties(headers={"mine": 1}))
    for method, properties, _ in channel.consume(queue, inactivity_timeout=5):
        break
    assert properties.headers["mine"] == 1
    death = properties.headers["x-death"][0]
    assert (death["queue"], death["reason"], death["count"]) == (source, "expired", 1)
    assert properties.headers["x-first-death-queue"] == source
    channel.basic_ack(method.delivery_tag)
    channel.queue_delete(source)


def test_transaction(channel, queue):
    channel.tx_select()
    channel.basic_publish("", queue, b"1")
    channel.tx_rollback()
    channel.basic_publish("", queue, b"2")
    channel.tx_commit()
    assert channel.basic_get(queue, auto_ack=True)[2] == b"2"


def test_large_body(channel, queue):
    body = os.urandom(5_000_000)
    channel.basic_publish("", queue, body)
    assert channel.basic_get(queue, auto_ack=True)[2] == body


def test_consumer_is_told_when_its_queue_goes(channel):
    name = f"interop-{uuid.uuid4()}"
    channel.queue_declare(name)
    cancelled = []
    channel.add_on_cancel_callback(lambda method: cancelled.append(method))
    channel.basic_consume(name, lambda *_: None)
    channel.queue_delete(name)
    channel.connection.process_data_events(time_limit=1)
    assert len(cancelled) == 1


@pytest.mark.skipif(not shutil.which("amqp-publish"), reason="amqp-tools are not installed")
def test_amqp_tools(channel, queue):
    def run(*words, **options):
        return subprocess.run([words[0], "-u", URL, *words[1:]], check=True, capture_output=True, **options)

    run("amqp-publish", "-r", queue, "-p", "-b", "hello")
    assert run("amqp-get", "-q", queue).stdout == b"hello"
    run("amqp-publish", "-r", queue, "-b", "again")
    assert run("amqp-consume", "-q", queue, "-c", "1", "cat").stdout == b"again"
    name = f"interop-{uuid.uuid4()}"
    assert run("amqp-declare-queue", "-q", name).stdout.strip() == name.encode()
    run("amqp-delete-queue", "-q", name)
