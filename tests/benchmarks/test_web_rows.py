"""How rows of webd's benchmarks are made of what was measured."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest


@pytest.fixture
def streams(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The benchmark of the streams."""
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    return importlib.import_module("bench_web_streams")


@pytest.fixture
def taking(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """That of photos and videos."""
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    return importlib.import_module("beside_taking")


def windows(*least_fps: float) -> list[dict[str, Any]]:
    return [{"fps": [least, 30.0]} for least in least_fps]


def test_one_slow_viewer_counts_in_each_window_in_which_the_machine_could_do_it(streams: ModuleType) -> None:
    needed, least, compared = streams.slowest(windows(30.0, 29.9, 30.0), windows(30.0, 25.0, 30.0))
    assert (needed, least) == (29.0, 25.0)
    assert "3 of 3 windows" in compared


def test_a_window_in_which_a_bare_server_was_too_slow_as_well_counts_for_nothing(streams: ModuleType) -> None:
    needed, least, compared = streams.slowest(windows(30.0, 28.0, 29.0), windows(30.0, 20.0, 29.5))
    assert (needed, least) == (29.0, 29.5)
    assert "2 of 3 windows" in compared


def test_where_the_machine_could_never_do_it_the_bare_server_is_what_counts(streams: ModuleType) -> None:
    needed, least, compared = streams.slowest(windows(20.0, 24.0, 28.0), windows(19.0, 25.0, 23.0))
    assert (needed, least) == (24.0, 23.0)
    assert compared.startswith("medians") and "none of 3 windows" in compared


def test_a_gap_counts_where_it_reaches_into_the_span(taking: ModuleType) -> None:
    came_s = [0.0, 1.0, 1.1, 1.2, 2.0, 2.1, 5.0]
    assert taking.longest_s(came_s, 1.15, 1.5) == pytest.approx(0.8)
    assert taking.longest_s(came_s, 0.5, 1.05) == pytest.approx(1.0)
    assert taking.longest_s(came_s, 1.15, 2.05) == pytest.approx(0.8)
