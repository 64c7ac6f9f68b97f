"""What `cam config` and `cam controller` print, as people read it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import click

_COLOURS = {
    "applied": "green",
    "refused": "red",
    "partly_applied": "yellow",
    "scanning": "green",
    "stale": "red",
    "blocked": "red",
    "unreadable": "red",
}


def report(seen: Mapping[str, Any]) -> str:
    """Every key's fate on a line."""
    return "\n".join(_key(key) for key in seen["keys"])


def _key(key: Mapping[str, Any]) -> str:
    line = f"{key['key']:<22} {json.dumps(key['value'], ensure_ascii=False):<12} {_word(key['fate'])}"
    return line if key["reason"] is None else f"{line}: {key['reason']}"


def controls_file(seen: Mapping[str, Any]) -> str:
    """The file, its state, and the fate of every key."""
    lines = [f"Controls file {seen['file']} is {_word(seen['state'])}"]
    found = seen["report"]
    if found is not None:
        lines.append(f"   Read {found['date']}, section {found['section']}{', all or none' if found['strict'] else ''}")
        lines += [f"   {_key(key)}" for key in found["keys"]]
    errors = [
        ("", "error"),
        ("Report: ", "report_error"),
        ("Template: ", "template_error"),
        ("Test photo: ", "test_photo_error"),
    ]
    lines += [f"   {what}{seen[key]}" for what, key in errors if seen[key]]
    if seen["test_photo"]:
        lines.append(f"   Test photo {seen['test_photo']}")
    return "\n".join(lines)


def controller(seen: Mapping[str, Any]) -> str:
    """The last message, its age, and what was done."""
    return "\n".join(_controller_lines(seen))


def _controller_lines(seen: Mapping[str, Any]) -> Iterator[str]:
    yield f"Controller is {_word(seen['state'])}" + ("" if seen["reason"] is None else f": {seen['reason']}")
    yield f"   Listening at {', '.join(seen['endpoints'])}"
    if seen["age_s"] is not None:
        said = seen["message"]
        mode = said["mode"] or "not told"
        yield f"   Last message {seen['age_s']:.1f}s ago: mode {mode}, time {_seconds(said['time_us'])}"
        for key in ("continousScanDirectory", "stopScanDirectory"):
            if said[key]:
                yield f"   {key} {said[key]}"
        yield f"   {seen['messages']} messages, {seen['dropped']} not understood, {seen['restarts']} restarts"
    counts = ", ".join(f"{seen[key]} {word}" for key, word in (("photos", "taken"), ("failed", "failed"), ("missed", "missed")))
    yield f"   Photos: {counts}, one each {seen['interval_s']:g}s"
    if seen["last_photo"]:
        yield f"   Last photo {seen['last_photo']}"
    if seen["last_error"]:
        yield f"   Last error {seen['last_error_at']}: {seen['last_error']}"
    if seen["command"]:
        yield f"   Last command {seen['command']['command']} {seen['command']['date']}"


def _seconds(time_us: int | None) -> str:
    return "not told" if time_us is None else f"{time_us / 1e6:.3f}s"


def _word(state: str) -> str:
    return click.style(state.replace("_", " ").upper(), fg=_COLOURS.get(state), bold=True)
