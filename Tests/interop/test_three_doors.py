# One broker, three doors: what pika publishes is seen by the command line, and taken by a few typed lines, with all
# that belongs to it. Needs INTEROP_PROGRAM, the program `leveret` beside the server at RABBITMQ_HOST; and an `nc`.

import json
import os
import subprocess
import uuid

import pika
import pytest

HOST = os.environ["RABBITMQ_HOST"]
PROGRAM = os.environ.get("INTEROP_PROGRAM")
pytestmark = pytest.mark.skipif(not PROGRAM, reason="the other doors are Leveret's")

PROPERTIES = pika.BasicProperties(
    content_type="application/json",
    content_encoding="utf-8",
    delivery_mode=2,
    priority=4,
    correlation_id="call 7",
    reply_to="answers",
    expiration="60000",
    message_id="m-1",
    timestamp=1234567890,
    type="resize",
    user_id="guest",
    app_id="web",
    cluster_id="c",
    headers={"tries": 3, "file name": "my cat.png", "size": {"w": 64, "tags": ["a", True, None]}},
)
BODY = b'{"cat": "\xc3\xbc"}'


@pytest.fixture()
def queue():
    name = f"doors-{uuid.uuid4()}"
    connection = pika.BlockingConnection(pika.ConnectionParameters(HOST))
    channel = connection.channel()
    channel.confirm_delivery()
    channel.queue_declare(name, durable=True)
    channel.basic_publish("", name, BODY, PROPERTIES, mandatory=True)
    yield name
    channel.queue_delete(name)
    connection.close()


def leveret(*words):
    command = [PROGRAM, *words, "--url", f"leveret://{HOST}:5672"]
    return subprocess.run(command, check=True, capture_output=True, timeout=30).stdout


def lines(*requests):
    """What the server says to these lines, typed with nc."""
    typed = "".join(line + "\n" for line in [*requests, "QUIT"]).encode()
    return subprocess.run(["nc", HOST, "5672"], input=typed, check=True, capture_output=True, timeout=30).stdout


def ready(queue):
    return json.loads(lines(f"STAT {queue}").decode().splitlines()[0].removeprefix("ROW "))["ready"]


def test_the_command_line_shows_it_with_all_its_properties(queue):
    shown = json.loads(leveret("peek", queue, "-o", "json"))
    assert shown["body"].encode() == BODY
    assert shown["headers"] == PROPERTIES.headers
    assert shown["priority"] == PROPERTIES.priority
    names = [
        "content_type",
        "content_encoding",
        "delivery_mode",
        "correlation_id",
        "reply_to",
        "expiration",
        "message_id",
        "timestamp",
        "type",
        "user_id",
        "app_id",
        "cluster_id",
    ]
    assert shown["properties"] == {name: getattr(PROPERTIES, name) for name in names}
    assert ready(queue) == 1


def test_a_line_takes_it_and_acks_it(queue):
    head, body, ack, _ = lines(f"GET {queue}", "ACK 1").split(b"\n", 3)
    assert body == BODY
    assert ack == b"OK"
    assert head.decode() == " ".join(
        [
            f'MSG 1 {queue} "" {queue} redelivered=0 deliveries=1',
            head.decode().split()[7],
            'id=m-1 ttl=60000 priority=4 type=resize reply-to=answers correlation-id="call 7" content-type=application/json',
            "content-encoding=utf-8 timestamp=1234567890 user-id=guest app-id=web cluster-id=c h.tries=3",
            'h."file name"="my cat.png"',
            'h.size=json:"{\\"w\\":64,\\"tags\\":[\\"a\\",true,null]}"',
            f"{{{len(BODY)}}}",
        ]
    )
    assert ready(queue) == 0


def test_what_a_line_publishes_arrives_with_all_its_properties(queue):
    lines(
        f'PUB "" {queue} id=42 ttl=60000 priority=2 type=t reply-to=r correlation-id=c content-type=text/plain '
        f'h.n=5 h.text="a b" h.yes=true h.list=json:"[1,{{\\"a\\":null}}]" :typed by hand'
    )
    connection = pika.BlockingConnection(pika.ConnectionParameters(HOST))
    channel = connection.channel()
    channel.basic_get(queue, auto_ack=True)
    _, got, body = channel.basic_get(queue, auto_ack=True)
    connection.close()
    assert body == b"typed by hand"
    assert got == pika.BasicProperties(
        message_id="42",
        expiration="60000",
        priority=2,
        type="t",
        reply_to="r",
        correlation_id="c",
        content_type="text/plain",
        delivery_mode=2,
        headers={"n": 5, "text": "a b", "yes": True, "list": [1, {"a": None}]},
    )


def test_the_command_line_takes_what_pika_published_and_pika_what_it_published(queue):
    assert leveret("get", queue, "--ack", "--body", "raw").rstrip(b"\n") == BODY
    leveret("publish", "", queue, "from the shell")
    connection = pika.BlockingConnection(pika.ConnectionParameters(HOST))
    assert connection.channel().basic_get(queue, auto_ack=True)[2] == b"from the shell"
    connection.close()
