"""The medians of side-by-side's results as a Markdown table: `table.py RESULTS`."""

import json
import statistics
import sys

# What is on disk when the enqueue returns, and what becomes of a job whose worker is killed.
DURABLE = {
    "LeveretTasks": "on disk (one sync for all that came meanwhile) · runs again at the next start",
    "huey": "on disk (a sync each) · lost",
    "huey, fsync=False": "with the system, lost with it · lost",
    "Celery, Redis always": "on disk (one sync for all that came meanwhile) · runs again after an hour",
    "Celery, Redis everysec": "in memory, on disk within a second · runs again after an hour",
    "litequeue": "with the system, lost with it until the next checkpoint · stays locked",
}
# The rows of Bench's table that are compared.
LEVERET = {
    "jobs, enqueue: one by one from one task": "one",
    "jobs, enqueue: one by one from 64 tasks": "many",
    "jobs, enqueue: 1,000 a batch from 4 tasks": "batch",
    "jobs, run: no-ops that wait, kept as completed": "run",
}

found = {name: {} for name in DURABLE}
for line in open(sys.argv[1]):
    name, text = line.rstrip("\n").split("\t", 1)
    if name == "LeveretTasks":
        cells = [cell.strip() for cell in text.split("|")[1:-1]]
        rates = {LEVERET[cells[0]]: float(cells[1].replace(",", ""))} if cells and cells[0] in LEVERET else {}
    else:
        rates = json.loads(text)
    for what, rate in rates.items():
        found[name].setdefault(what, []).append(rate)

COLUMNS = ["jobs/s", "enqueued one by one", "… by many", "in batches", "no-ops run", "safe: enqueued · running"]
print(f"| {' | '.join(COLUMNS)} |")
print("|---" * len(COLUMNS) + "|")
for name, rates in found.items():
    if rates:
        cells = [
            f"{statistics.median(rates[what]):,.0f}" if what in rates else "—"
            for what in ("one", "many", "batch", "run")
        ]
        print(f"| {name} | {' | '.join(cells)} | {DURABLE[name]} |")
