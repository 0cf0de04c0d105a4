#!/usr/bin/env python3
"""Writes instants.txt, the table that CronTableTests holds the cron expressions against.

    pip install cronsim==2.8 croniter==7.0.0 && python3 instants.py > instants.txt

Each line: zone, expression, start, and the instants that follow, in UTC, separated by tabs. They are found minute by
minute from the definition (`brute_force`), and must be those of cronsim, and in zones without daylight saving those of
croniter; where these two differ for a reason that is known, `differs` names it. All instants are of the past, so that
no new version of the tz database changes them.
"""
import random
from datetime import date, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

from croniter import croniter
from cronsim import CronSim

UTC = timezone.utc
MINUTE = timedelta(minutes=1)
NAMES = {name: str(i) for i, name in enumerate("SUN MON TUE WED THU FRI SAT".split())}
MONTHS = {name: str(i + 1) for i, name in enumerate(
    "JAN FEB MAR APR MAY JUN JUL AUG SEP OCT NOV DEC".split())}
MACROS = {"@yearly": "0 0 1 1 *", "@monthly": "0 0 1 * *", "@weekly": "0 0 * * 0", "@daily": "0 0 * * *",
          "@hourly": "0 * * * *"}


def numbers(text, low, high, names):
    found = set()
    for term in text.upper().split(","):
        body, _, step = term.partition("/")
        if body == "*":
            first, last = low, high
        else:
            first, dash, last = body.partition("-")
            is_end_of_week = names is NAMES and last == "SUN"
            first, last = names.get(first, first), "7" if is_end_of_week else names.get(last, last)
            first = int(first)
            last = int(last) if dash else (max(high, first) if step else first)
        found.update(range(first, last + 1, int(step or 1)))
    return found


class Expression:
    def __init__(self, text):
        minute, hour, day, month, weekday = MACROS.get(text, text).split()
        self.minutes = numbers(minute, 0, 59, {})
        self.hours = numbers(hour, 0, 23, {})
        self.days = numbers(day, 1, 31, {})
        self.months = numbers(month, 1, 12, MONTHS)
        self.weekdays = {n % 7 for n in numbers(weekday, 0, 6, NAMES)}
        self.both = day.startswith("*") or weekday.startswith("*")
        self.wall = not minute.startswith("*") and not hour.startswith("*")

    def matches_day(self, day):
        of_month = day.day in self.days
        of_week = day.isoweekday() % 7 in self.weekdays
        return day.month in self.months and (of_month and of_week if self.both else of_month or of_week)

    def walls(self, day):
        """The times of a day that match, without a zone."""
        if self.matches_day(day):
            for hour in sorted(self.hours):
                for minute in sorted(self.minutes):
                    yield datetime(day.year, day.month, day.day, hour, minute)


def resolve(wall, zone):
    """The first moment that shows `wall`; in a gap, the gap's end."""
    while True:
        moment = wall.replace(tzinfo=zone, fold=0).astimezone(UTC)
        if moment.astimezone(zone).replace(tzinfo=None) == wall:
            return moment
        wall += MINUTE


def all_moments(wall, zone):
    """Every moment that shows `wall`: none, one or two."""
    for fold in (0, 1):
        moment = wall.replace(tzinfo=zone, fold=fold).astimezone(UTC)
        if moment.astimezone(zone).replace(tzinfo=None) == wall:
            yield moment


def brute_force(text, zone, start, count):
    expression = Expression(text)
    found = set()
    day = start.astimezone(zone).date() - timedelta(days=1)
    extra = 2
    while extra:
        for wall in expression.walls(day):
            moments = {resolve(wall, zone)} if expression.wall else set(all_moments(wall, zone))
            found.update(moment for moment in moments if moment > start)
        day += timedelta(days=1)
        if len(found) >= count:
            extra -= 1  # another day, for what an overlap brings out of order
    return sorted(found)[:count]


def cronsim(text, zone, start, count):
    found = []
    for moment in CronSim(MACROS.get(text, text), start.astimezone(zone)):
        moment = moment.astimezone(UTC)
        if moment > start and (not found or moment > found[-1]):
            found.append(moment)
        if len(found) == count:
            return found


def by_croniter(text, zone, start, count):
    found = croniter(text, start.astimezone(zone), day_or=Expression(text).both is False)
    return [found.get_next(datetime).astimezone(UTC) for _ in range(count)]


def differs(text, zone_name):
    """Why cronsim is not asked."""
    if "SUN" in text and "-SUN" in text:
        return "cronsim has no range that ends in SUN"
    if zone_name in ("Australia/Lord_Howe", "Pacific/Apia", "Asia/Pyongyang") and not Expression(text).wall:
        return "cronsim advances by full hours, and misses what a shift of less or more brings"
    return None


EVERYWHERE = ["30 2 * * *", "0 0 * * *", "*/15 * * * *", "15 1,2,3 * * *", "0 */2 * * *", "*/20 1-3 * * *",
              "0,30 2 * * SUN", "5 * * * *"]
CALENDAR = ["0 0 29 2 *", "0 0 29 2 MON", "0 12 */2 * MON", "0 0 13 * FRI", "0 0 31 * *", "0 9 1-7 * */7",
            "30 9 * * MON-FRI", "0 22 * JAN-MAR,DEC 6,7", "0 6 * * FRI-SUN", "0 0 1,15 * 3", "10-50/20 8 31 1-12/3 *",
            "45 23 31 12 *", "5/25 3 * * *", "@yearly", "@monthly", "@weekly", "@daily", "@hourly", "59 23 * * 0",
            "0 0 30 4,6,9,11 *", "*/7 */5 */10 */4 *", "0 0 29 FEB 0-6/3", "1 2 3 4 5", "0 4 8-14 * *",
            "0 0 * * 7", "0 0 * * sat,sun", "3-9,40-50/5 0 * oct tue"]
# Moments just before a change of the clocks, or with something else to see.
PLACES = {
    "America/New_York": ["2026-03-07T20:00", "2026-03-08T06:20", "2025-11-01T20:30", "2024-11-03T05:40", "2024-11-03T06:10"],
    "Europe/Berlin": ["2026-03-28T22:00", "2026-03-29T00:20", "2025-10-25T20:00", "2025-10-26T00:45", "2025-10-26T01:05"],
    "Europe/Dublin": ["2026-03-28T23:00", "2025-10-25T22:00"],
    "Australia/Lord_Howe": ["2025-10-04T15:05", "2025-10-04T12:00", "2026-04-04T14:35", "2026-04-04T15:05"],
    "Asia/Kolkata": ["2026-01-31T17:00"],
    "America/Sao_Paulo": ["2018-11-03T22:00", "2018-11-04T02:20", "2019-02-17T01:20", "2018-02-18T01:30"],
    "Africa/Casablanca": ["2026-02-15T01:20", "2026-03-21T22:00"],
    "Antarctica/Troll": ["2026-03-28T22:00", "2026-03-29T00:20", "2025-10-26T00:20", "2025-10-25T22:00"],
    "Pacific/Apia": ["2011-12-29T08:00", "2011-12-30T09:20", "2011-09-24T08:00"],
    "Asia/Pyongyang": ["2018-05-04T10:00", "2018-05-04T14:20", "2015-08-14T14:40", "2015-08-14T10:00"],
    "Europe/Lisbon": ["1992-09-26T20:00", "1996-03-30T20:00"],
    "UTC": ["2024-02-28T23:59"],
}


def rows():
    for zone, starts in PLACES.items():
        for start in starts:
            for text in EVERYWHERE:
                yield zone, text, datetime.fromisoformat(start).replace(tzinfo=UTC), 5
    chance = random.Random(2026)
    for text in CALENDAR:
        for zone in ("UTC", "Asia/Kolkata", "America/New_York"):
            start = datetime(1999, 1, 1, tzinfo=UTC) + MINUTE * chance.randrange(14 * 525_960)
            yield zone, text, start, 3


def main():
    for zone_name, text, start, count in rows():
        zone = ZoneInfo(zone_name)
        found = brute_force(text, zone, start, count)
        if not differs(text, zone_name):
            other = cronsim(text, zone, start, count)
            assert found == other, f"cronsim: {zone_name} {text} {start}\n {found}\n {other}"
        if zone_name in ("UTC", "Asia/Kolkata"):
            other = by_croniter(text, zone, start, count)
            assert found == other, f"croniter: {zone_name} {text} {start}\n {found}\n {other}"
        print(zone_name, text, *(moment.strftime("%Y-%m-%dT%H:%MZ") for moment in [start, *found]), sep="\t")


if __name__ == "__main__":
    main()
