"""The huey that is measured: one no-op task. Its consumer imports this; HUEY_FILE and HUEY_FSYNC say how it stores."""

import os

from huey import SqliteHuey

settings = {} if os.environ.get("HUEY_FSYNC", "default") == "default" else {"fsync": False}
huey = SqliteHuey("bench", filename=os.environ["HUEY_FILE"], timeout=60, **settings)


@huey.task()
def noop(number):
    pass
