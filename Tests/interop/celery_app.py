# The application that test_celery.py runs workers of.

import os
import signal
import time

from celery import Celery, chain, chord, group

app = Celery(
    "interop",
    broker=f"amqp://guest:guest@{os.environ['RABBITMQ_HOST']}:5672//",
    backend=f"file://{os.environ['INTEROP_RESULTS']}",
)
app.conf.update(
    task_default_queue=os.environ["INTEROP_QUEUE"],
    worker_prefetch_multiplier=2,
    broker_connection_retry_on_startup=True,
    control_exchange=os.environ["INTEROP_QUEUE"] + "-control",
)


@app.task
def add(a, b):
    return a + b


@app.task(bind=True, max_retries=3)
def fails_twice(self):
    if self.request.retries < 2:
        raise self.retry(countdown=0.1)
    return self.request.retries


@app.task(autoretry_for=(ZeroDivisionError,), max_retries=2, default_retry_delay=0.1)
def fails_always():
    return 1 // 0


@app.task
def total(numbers):
    return sum(numbers)


@app.task
def twice(number):
    return 2 * number


@app.task
def now():
    return time.time()


@app.task(acks_late=True, reject_on_worker_lost=True)
def survives(path, how="sleep"):
    with open(path, "a") as file:
        file.write("x")
    with open(path) as file:
        tries = len(file.read())
    if tries == 1 and how == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if tries == 1:
        time.sleep(600)
    return tries


@app.task(acks_late=True)
def leaves_a_mark(path):
    time.sleep(0.02)
    with open(path, "a") as file:
        file.write("x")


def squares(count):
    return chord((add.s(n * n, 0) for n in range(count)), total.s())


def twice_squares(count):
    return chain(group(add.s(n * n, 0) for n in range(count)), total.s(), twice.s()).delay()
