"""Measures one of the others: `contestants.py huey|celery|litequeue JOBS` enqueues no-op jobs from one process and from
four, runs them, and prints a line of JSON with jobs a second. Called by side-by-side, which says where in the
environment: HUEY_FILE, REDIS_PORT, LITEQUEUE_FILE."""

import json
import multiprocessing
import os
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
PROCESSES = 4


class Huey:
    def __init__(self):
        import huey_app

        self.app = huey_app
        self.command = [sys.executable, "-m", "huey.bin.huey_consumer", "huey_app.huey", "-w", "2", "-k", "process"]

    def enqueue(self, number):
        self.app.noop(number)

    def left(self):
        return self.app.huey.pending_count()


class Celery:
    def __init__(self):
        import celery_app

        self.app = celery_app
        self.redis = None
        self.command = [sys.executable, "-m", "celery", "-A", "celery_app", "worker", "-c", "2", "-l", "ERROR"]

    def enqueue(self, number):
        self.app.noop.delay(number)

    def left(self):
        import redis

        self.redis = self.redis or redis.Redis(port=int(os.environ["REDIS_PORT"]))
        return self.redis.llen("celery") + self.redis.hlen("unacked")


class Litequeue:
    """A queue and no worker: two processes take jobs, do nothing, and say that they are done."""

    command = [sys.executable, __file__, "litequeue-worker"]

    def __init__(self):
        from litequeue import LiteQueue

        self.queue = LiteQueue(os.environ["LITEQUEUE_FILE"], timeout=60)

    def enqueue(self, number):
        self.queue.put(str(number))

    def left(self):
        return self.queue.qsize()

    def work(self):
        while message := self.queue.pop():
            self.queue.done(message.message_id)


CONTESTANTS = {"huey": Huey, "celery": Celery, "litequeue": Litequeue}


def enqueue(name, count):
    contestant = CONTESTANTS[name]()
    contestant.enqueue(0)  # connections and imports are not what is measured
    begin = time.perf_counter()
    for number in range(count):
        contestant.enqueue(number)
    return count / (time.perf_counter() - begin)


def enqueue_from_processes(name, count):
    # Each has its own connection; they begin together, and the slowest counts.
    with multiprocessing.get_context("spawn").Pool(PROCESSES) as pool:
        rates = pool.starmap(enqueue, [(name, count // PROCESSES)] * PROCESSES)
    return PROCESSES * min(rates)


def run(name):
    """Runs what was enqueued. The start of the workers does not count: it begins with the first hundred done."""
    contestant = CONTESTANTS[name]()
    count = contestant.left()
    workers = [subprocess.Popen(contestant.command, cwd=HERE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)]
    if name == "litequeue":
        workers.append(subprocess.Popen(contestant.command, cwd=HERE))
    first = None
    while (left := contestant.left()) > 0:
        if first is None and left <= count - 100:
            first, begin = left, time.perf_counter()
        time.sleep(0.002)
    spent = time.perf_counter() - begin
    for worker in workers:
        worker.terminate()
        worker.wait()
    return first / spent


def main():
    name, jobs = sys.argv[1], int(sys.argv[2])
    one = enqueue(name, jobs)
    four = enqueue_from_processes(name, jobs)
    print(json.dumps({"one": one, "many": four, "run": run(name)}))


if __name__ == "__main__":
    if sys.argv[1] == "litequeue-worker":
        Litequeue().work()
    else:
        main()
