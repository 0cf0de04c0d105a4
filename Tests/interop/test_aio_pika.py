# aio-pika against the broker at RABBITMQ_HOST: what its own documentation shows.

import asyncio
import os
import uuid

import aio_pika
import pytest
from aio_pika.patterns import RPC, Master

URL = f"amqp://guest:guest@{os.environ['RABBITMQ_HOST']}/"


def on_a_channel(test):
    """Runs a coroutine with a connection that mends itself, and a channel of it."""

    def run():
        async def connected():
            connection = await aio_pika.connect_robust(URL)
            async with connection:
                await asyncio.wait_for(test(connection, await connection.channel()), 60)

        asyncio.run(connected())

    run.__name__ = test.__name__
    return run


@on_a_channel
async def test_many_confirms_at_once(connection, channel):
    queue = await channel.declare_queue(exclusive=True)
    messages = [aio_pika.Message(str(number).encode()) for number in range(500)]
    await asyncio.gather(*(channel.default_exchange.publish(message, queue.name) for message in messages))
    bodies = []
    async with queue.iterator() as incoming:
        async for message in incoming:
            async with message.process():
                bodies.append(int(message.body))
            if len(bodies) == 500:
                break
    assert sorted(bodies) == list(range(500))


@on_a_channel
async def test_unroutable_is_returned(connection, channel):
    raising = await connection.channel(on_return_raises=True)
    with pytest.raises(aio_pika.exceptions.DeliveryError):
        await raising.default_exchange.publish(aio_pika.Message(b"x"), "no-such-queue", mandatory=True)


@on_a_channel
async def test_properties(connection, channel):
    queue = await channel.declare_queue(exclusive=True)
    sent = aio_pika.Message(
        b"x",
        headers={"number": 1, "text": "ü", "list": [1, "two"], "table": {"deep": {"deeper": True}}, "none": None},
        content_type="text/plain",
        content_encoding="utf-8",
        delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
        priority=3,
        correlation_id="c",
        reply_to="r",
        expiration=60,
        message_id="m",
        timestamp=1234567890,
        type="t",
        user_id="guest",
        app_id="a",
    )
    await channel.default_exchange.publish(sent, queue.name)
    got = await queue.get(no_ack=True)
    assert got.info()["headers"] == sent.headers
    for name in [
        "content_type",
        "content_encoding",
        "delivery_mode",
        "priority",
        "correlation_id",
        "reply_to",
        "expiration",
        "message_id",
        "timestamp",
        "type",
        "user_id",
        "app_id",
    ]:
        assert getattr(got, name) == getattr(sent, name), name


@on_a_channel
async def test_transaction(connection, channel):
    plain = await connection.channel(publisher_confirms=False)
    queue = await plain.declare_queue(exclusive=True)
    transaction = plain.transaction()
    await transaction.select()
    await plain.default_exchange.publish(aio_pika.Message(b"dropped"), queue.name)
    await transaction.rollback()
    await plain.default_exchange.publish(aio_pika.Message(b"kept"), queue.name)
    await transaction.commit()
    assert (await queue.get(no_ack=True)).body == b"kept"
    assert await queue.get(no_ack=True, fail=False) is None


@on_a_channel
async def test_rpc_pattern(connection, channel):
    rpc = await RPC.create(channel)

    async def multiply(*, x, y):
        return x * y

    name = f"interop-{uuid.uuid4()}"
    await rpc.register(name, multiply, auto_delete=True)
    assert await asyncio.gather(*(rpc.call(name, {"x": number, "y": 3}) for number in range(20))) == [
        number * 3 for number in range(20)
    ]
    await rpc.close()


@on_a_channel
async def test_master_and_worker_pattern(connection, channel):
    master = Master(channel)
    done = asyncio.Queue()
    name = f"interop-{uuid.uuid4()}"
    worker = await master.create_worker(name, lambda *, task_id: done.put(task_id), auto_delete=True)
    for number in range(10):
        await master.create_task(name, {"task_id": number})
    assert sorted([await done.get() for _ in range(10)]) == list(range(10))
    await worker.close()


@on_a_channel
async def test_a_cut_connection_is_mended_with_its_consumers(connection, channel):
    queue = await channel.declare_queue(f"interop-{uuid.uuid4()}", auto_delete=False, arguments={"x-expires": 60_000})
    got = asyncio.Queue()
    await queue.consume(got.put, no_ack=True)
    reconnected = asyncio.Event()
    connection.reconnect_callbacks.add(lambda *_: reconnected.set())
    await connection.transport.connection.close(aio_pika.exceptions.AMQPConnectionError("cut by the test"))
    await reconnected.wait()
    other = await connection.channel()
    await other.default_exchange.publish(aio_pika.Message(b"after"), queue.name)
    assert (await got.get()).body == b"after"
    await queue.delete(if_unused=False, if_empty=False)
