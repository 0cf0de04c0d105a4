# The patterns of RabbitMQ's tutorials with pika, each in one program that ends by itself; `run` compares what it
# prints.

import os
import uuid

import pika

PARAMETERS = pika.ConnectionParameters(os.environ["RABBITMQ_HOST"])
KEYS = [
    "quick.orange.rabbit",
    "lazy.orange.elephant",
    "quick.orange.fox",
    "lazy.brown.fox",
    "lazy.pink.rabbit",
    "quick.brown.fox",
    "orange",
    "quick.orange.new.rabbit",
    "lazy.orange.new.rabbit",
]


def take(channel, queue, count):
    """The bodies of the next `count` messages of a queue."""
    bodies = []
    for _, _, body in channel.consume(queue, auto_ack=True, inactivity_timeout=10):
        bodies.append(body.decode() if body is not None else "nothing")
        if len(bodies) == count or body is None:
            break
    channel.cancel()
    return bodies


def subscribe(channel, exchange, keys):
    """A queue of its own for this connection, bound with these keys."""
    queue = channel.queue_declare("", exclusive=True).method.queue
    for key in keys:
        channel.queue_bind(queue, exchange, key)
    return queue


def hello(channel):
    channel.queue_declare("tutorial-hello")
    channel.basic_publish("", "tutorial-hello", "Hello World!")
    print("1 got", *take(channel, "tutorial-hello", 1))
    channel.queue_delete("tutorial-hello")


def work_queue(channel):
    channel.queue_declare("tutorial-tasks", durable=True, arguments={"x-queue-type": "quorum"})
    held, workers, done = [], set(), []

    def work(worker):
        def on_task(worker_channel, method, _, body):
            workers.add(worker)
            held.append((worker_channel, method.delivery_tag, body))
            while (
                len(workers) == 2 and held
            ):  # with a prefetch of 1, the first task waits until the second has gone elsewhere
                its_channel, tag, task = held.pop()
                done.append(task)
                its_channel.basic_ack(tag)

        return on_task

    for worker in range(2):
        worker_channel = channel.connection.channel()
        worker_channel.basic_qos(prefetch_count=1)
        worker_channel.basic_consume("tutorial-tasks", work(worker))
    for number in range(6):
        properties = pika.BasicProperties(delivery_mode=pika.DeliveryMode.Persistent)
        channel.basic_publish("", "tutorial-tasks", f"task {number}", properties)
    for _ in range(100):
        if len(done) < 6:
            channel.connection.process_data_events(time_limit=0.1)
    print(f"2 did {len(set(done))} tasks with {len(workers)} workers")
    channel.queue_delete("tutorial-tasks")


def publish_subscribe(channel):
    channel.exchange_declare("tutorial-logs", "fanout", auto_delete=True)
    queues = [subscribe(channel, "tutorial-logs", [""]) for _ in range(2)]
    channel.basic_publish("tutorial-logs", "", "info: Hello World!")
    print("3 got", " and ".join(take(channel, queues[0], 1) + take(channel, queues[1], 1)))


def routing(channel):
    channel.exchange_declare("tutorial-direct", "direct", auto_delete=True)
    errors = subscribe(channel, "tutorial-direct", ["error"])
    everything = subscribe(channel, "tutorial-direct", ["info", "warning", "error"])
    for severity in ["info", "warning", "error"]:
        channel.basic_publish("tutorial-direct", severity, severity)
    print("4 errors: " + " ".join(take(channel, errors, 1)) + "; all: " + " ".join(take(channel, everything, 3)))


def topics(channel):
    channel.exchange_declare("tutorial-topics", "topic", auto_delete=True)
    orange = subscribe(channel, "tutorial-topics", ["*.orange.*"])
    others = subscribe(channel, "tutorial-topics", ["*.*.rabbit", "lazy.#"])
    for key in KEYS:
        channel.basic_publish("tutorial-topics", key, key)
    print("5 orange:", *take(channel, orange, 3))
    print("5 rabbits and lazy ones:", *take(channel, others, 5))


def fib(n):
    return n if n < 2 else fib(n - 1) + fib(n - 2)


def rpc(channel):
    channel.queue_declare("tutorial-rpc")
    server = channel.connection.channel()
    server.basic_qos(prefetch_count=1)

    def on_request(server, method, properties, body):
        answer = pika.BasicProperties(correlation_id=properties.correlation_id)
        server.basic_publish("", properties.reply_to, str(fib(int(body))), answer)
        server.basic_ack(method.delivery_tag)

    server.basic_consume("tutorial-rpc", on_request)
    callback = channel.queue_declare("", exclusive=True).method.queue
    asked, answers = str(uuid.uuid4()), {}
    channel.basic_consume(
        callback,
        lambda _, method, properties, body: answers.update({properties.correlation_id: body.decode()}),
        auto_ack=True,
    )
    channel.basic_publish("", "tutorial-rpc", "20", pika.BasicProperties(reply_to=callback, correlation_id=asked))
    for _ in range(100):
        if asked not in answers:
            channel.connection.process_data_events(time_limit=0.1)
    print("6 fib(20) is", answers.get(asked))
    channel.queue_delete("tutorial-rpc")


def confirms(channel):
    channel.confirm_delivery()
    queue = channel.queue_declare("", exclusive=True).method.queue
    for number in range(50):
        channel.basic_publish("", queue, str(number), mandatory=True)  # raises unless it is confirmed
    print("7 confirmed", channel.queue_declare(queue, passive=True).method.message_count)


for pattern in [hello, work_queue, publish_subscribe, routing, topics, rpc, confirms]:
    connection = pika.BlockingConnection(PARAMETERS)
    pattern(connection.channel())
    connection.close()
