"""What the configs of all kinds of daemons have in common."""

from __future__ import annotations

import re
import runpy
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from observatory_common import paths

FIREWALLD = Path(__file__).parents[2] / "etc" / "firewalld" / "observatory-firewalld"


def _patterns(schema: Any) -> Iterator[str]:
    if isinstance(schema, dict):
        yield from (value for key, value in schema.items() if key == "pattern" and isinstance(value, str))
    for part in schema.values() if isinstance(schema, dict) else schema if isinstance(schema, list) else ():
        yield from _patterns(part)


@pytest.mark.parametrize("kind", paths.KINDS)
def test_no_name_may_end_with_a_line(kind: str) -> None:
    """A $ would fit before the end of a line too."""
    schema = import_module(f"observatory_{kind}.__main__").KIND.schema
    assert not [pattern for pattern in _patterns(schema) if re.search(r"\$\Z", pattern)]


@pytest.mark.parametrize(
    ("kind", "known"), [("webd", lambda firewalld: firewalld["WEB"]["port"]), ("ftpd", lambda firewalld: firewalld["FTP_PORT"])]
)
def test_the_firewall_opens_the_ports_that_daemons_listen_on(kind: str, known: Any) -> None:
    """The program runs where a kind's own package need not be installed, so that it cannot ask for the default."""
    assert known(runpy.run_path(str(FIREWALLD))) == import_module(f"observatory_{kind}.config").DEFAULT_PORT
