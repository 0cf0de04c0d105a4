# A Celery application with the broker at RABBITMQ_HOST: retries, countdowns, expiry, chords and chains of groups,
# revokes, control commands, events, late acks, and workers that are killed with -9.

import contextlib
import os
import subprocess
import sys
import tempfile
import time
import uuid

import pytest

os.environ["INTEROP_RESULTS"] = tempfile.mkdtemp(prefix="leveret-celery-")
os.environ["INTEROP_QUEUE"] = f"celery-{uuid.uuid4()}"

import celery_app  # noqa: E402  it reads these


@contextlib.contextmanager
def a_worker(*words):
    process = subprocess.Popen(
        [sys.executable, "-m", "celery", "-A", "celery_app", "worker", "-l", "WARNING", *(words or ("-P", "solo"))],
        cwd=os.path.dirname(__file__),
    )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def await_that(condition):
    deadline = time.time() + 60
    while not condition() and time.time() < deadline:
        time.sleep(0.1)
    assert condition()


def path_of(name):
    return os.path.join(os.environ["INTEROP_RESULTS"], name)


@pytest.fixture(scope="module")
def worker():
    with a_worker("-P", "solo", "-E") as process:
        yield process


def test_results(worker):
    results = [celery_app.add.delay(n, n) for n in range(50)]
    assert [result.get(timeout=60) for result in results] == [2 * n for n in range(50)]


def test_retries(worker):
    assert celery_app.fails_twice.delay().get(timeout=30) == 2


def test_retries_end(worker):
    with pytest.raises(ZeroDivisionError):
        celery_app.fails_always.delay().get(timeout=30)


def test_countdown(worker):
    before = time.time()
    assert celery_app.now.apply_async(countdown=1).get(timeout=30) >= before + 1


def test_more_countdowns_than_the_prefetch_hold_up_nothing(worker):
    # The worker raises its prefetch, for all consumers of its channel, by what waits.
    later = [celery_app.now.apply_async(countdown=20) for _ in range(30)]
    at_once = celery_app.now.delay().get(timeout=60)
    assert at_once < min(result.get(timeout=60) for result in later)


def test_an_expired_task_does_not_run(worker):
    result = celery_app.now.apply_async(countdown=1, expires=0.5)
    await_that(lambda: result.state == "REVOKED")


def test_chord(worker):
    assert celery_app.squares(10)().get(timeout=60) == 285


def test_chain_of_groups(worker):
    assert celery_app.twice_squares(5).get(timeout=60) == 60


def test_revoke(worker):
    result = celery_app.now.apply_async(countdown=3)
    celery_app.app.control.revoke(result.id, reply=True, timeout=2)
    await_that(lambda: result.state == "REVOKED")


def test_control_commands_are_answered(worker):
    await_that(lambda: celery_app.app.control.inspect(timeout=2).ping())
    assert list(celery_app.app.control.inspect(timeout=5).ping().values()) == [{"ok": "pong"}]
    queues = list(celery_app.app.control.inspect(timeout=5).active_queues().values())
    assert [queue["name"] for queue in queues[0]] == [os.environ["INTEROP_QUEUE"]]


def test_events_are_seen(worker):
    seen = []
    with celery_app.app.connection_for_read() as its_parameters:
        handlers = {"*": lambda event: seen.append(event["type"])}
        receiver = celery_app.app.events.Receiver(its_parameters, handlers=handlers)
        with receiver.consumer_context() as (connection, _, _):
            celery_app.add.delay(1, 2).get(timeout=30)
            await_that(lambda: receiver_drained(connection, seen))


def receiver_drained(connection, seen):
    try:
        connection.drain_events(timeout=0.5)
    except TimeoutError:
        pass
    return "task-succeeded" in seen


def test_a_killed_worker_loses_no_task(worker):
    worker.terminate()
    worker.wait(30)
    path = path_of("tries")
    result = celery_app.survives.delay(path)
    with a_worker() as victim:
        await_that(lambda: os.path.exists(path) and os.path.getsize(path) > 0)
        victim.kill()
        victim.wait()
    with a_worker():
        assert result.get(timeout=60) == 2


def test_a_killed_process_of_a_pool_loses_no_task():
    with a_worker("-P", "prefork", "-c", "2"):
        assert celery_app.survives.delay(path_of("pool"), "kill").get(timeout=60) == 2


def test_late_acks_survive_many_kills():
    folder = path_of("kills")
    os.mkdir(folder)
    results = [celery_app.leaves_a_mark.delay(os.path.join(folder, str(n))) for n in range(60)]
    for kill in range(3):
        with a_worker() as worker:
            await_that(lambda: len(os.listdir(folder)) >= 10 * (kill + 1))
            worker.kill()
            worker.wait()
    with a_worker():
        for result in results:
            result.get(timeout=60)
    assert sorted(map(int, os.listdir(folder))) == list(range(60))


def test_nothing_is_left():
    with celery_app.app.connection_for_read() as connection:
        left = connection.default_channel.queue_declare(os.environ["INTEROP_QUEUE"], passive=True)
    assert left.message_count == 0
