"""The Celery that is measured: one no-op task on Redis at REDIS_PORT, acknowledged when done, without a result."""

import os

from celery import Celery

app = Celery("bench", broker=f"redis://127.0.0.1:{os.environ['REDIS_PORT']}/0")
app.conf.update(task_acks_late=True, task_ignore_result=True, worker_hijack_root_logger=False)


@app.task(name="noop")
def noop(number):
    pass
