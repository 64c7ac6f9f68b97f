"""Times as the wire carries them: ISO 8601 in UTC with microseconds, `2026-01-02T03:04:05.678901Z`."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta


def utc_now(ahead_s: float = 0.0) -> str:
    """The time `ahead_s` seconds from now, as the wire carries it."""
    return to_wire(datetime.now(UTC) + timedelta(seconds=ahead_s))


def to_wire(moment: datetime) -> str:
    """An aware datetime as the wire carries it. Raises ValueError for a naive one."""
    if moment.tzinfo is None:
        raise ValueError(f"{moment!r} has no time zone")
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def from_wire(text: str) -> datetime:
    """The aware datetime that `to_wire` wrote. Raises ValueError for anything else."""
    moment = datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC)
    if to_wire(moment) != text:
        raise ValueError(f"{text!r} is no time as the wire carries it")
    return moment
