"""A bench with mock pins for each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from gpio_bench import Bench


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = Bench()
    yield bench
    for device in bench.devices:
        device.close()
    bench.factory.reset()
    assert bench.undeclared == []
