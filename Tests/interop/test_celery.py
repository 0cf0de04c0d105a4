# A Celery application with the broker at RABBITMQ_HOST: retries, countdowns, a chord, and a worker that is killed.

import os
import signal
import subprocess
import sys
import tempfile
import time
import uuid

import pytest

os.environ["INTEROP_RESULTS"] = tempfile.mkdtemp(prefix="leveret-celery-")
os.environ["INTEROP_QUEUE"] = f"celery-{uuid.uuid4()}"

import celery_app  # noqa: E402  it reads these


def start_worker():
    return subprocess.Popen(
        [sys.executable, "-m", "celery", "-A", "celery_app", "worker", "-P", "solo", "-l", "WARNING"],
        cwd=os.path.dirname(__file__),
    )


@pytest.fixture(scope="module")
def worker():
    process = start_worker()
    yield process
    process.terminate()
    process.wait(30)


def test_results(worker):
    results = [celery_app.add.delay(n, n) for n in range(50)]
    assert [result.get(timeout=60) for result in results] == [2 * n for n in range(50)]


def test_retries(worker):
    assert celery_app.fails_twice.delay().get(timeout=30) == 2


def test_countdown(worker):
    before = time.time()
    assert celery_app.now.apply_async(countdown=1).get(timeout=30) >= before + 1


def test_chord(worker):
    assert celery_app.squares(10)().get(timeout=60) == 285


def test_revoke(worker):
    result = celery_app.now.apply_async(countdown=2)
    result.revoke()
    time.sleep(3)
    assert result.state in ("PENDING", "REVOKED")


def test_a_killed_worker_loses_no_task(worker):
    worker.terminate()
    worker.wait(30)
    path = os.path.join(os.environ["INTEROP_RESULTS"], "tries")
    result = celery_app.survives.delay(path)
    victim = start_worker()
    deadline = time.time() + 60
    while not os.path.exists(path) and time.time() < deadline:
        time.sleep(0.1)
    victim.send_signal(signal.SIGKILL)
    victim.wait()
    successor = start_worker()
    assert result.get(timeout=60) == 2
    successor.terminate()
    successor.wait(30)
