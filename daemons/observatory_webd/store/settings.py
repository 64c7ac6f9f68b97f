"""Small settings of webd itself that outlive it, changed from its pages."""

from __future__ import annotations

import json
from typing import Any

from observatory_webd.store.database import Store


class WebSettings:
    """Values by name, as JSON. Thread safe."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def get(self, name: str, default: Any = None) -> Any:
        """The value kept under a name."""
        row = self._store.row("SELECT value FROM settings WHERE name = ?", name)
        return default if row is None else json.loads(row["value"])

    def set(self, name: str, value: Any) -> None:
        """Keep a value under a name."""
        sql = "INSERT INTO settings (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value"
        self._store.write(sql, name, json.dumps(value))
