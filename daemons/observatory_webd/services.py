"""What every router is handed: the parts of a running gateway. There are no globals."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from observatory_common.service import Context
    from observatory_webd.accounts.accounts import Accounts
    from observatory_webd.config import WebdConfig
    from observatory_webd.links.links import Links
    from observatory_webd.store.database import Store
    from observatory_webd.store.settings import WebSettings
    from observatory_webd.streams.relays import Relays


@dataclass(frozen=True)
class Services:
    """The parts. `port` is the one that is listened on, `started` when that began (ISO 8601)."""

    config: WebdConfig
    context: Context
    store: Store
    settings: WebSettings
    accounts: Accounts
    links: Links
    relays: Relays
    port: int
    started: str

    def cookie_name(self, scheme: str) -> str:
        """The name of the login's cookie: browsers tell cookies of a host's ports apart by nothing else."""
        return f"__Host-observatory-{self.port}" if scheme in ("https", "wss") else f"observatory-{self.port}"

    def equal(self, given: str, expected: str) -> bool:
        """Whether a secret that was given is the expected one, which is never empty; takes the same time for all."""
        return bool(expected) and secrets.compare_digest(given.encode("utf-8", "replace"), expected.encode())
