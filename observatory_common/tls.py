"""Mutual TLS, on or off for the whole site: `tls.json` beside the registry names the three files of this machine."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from observatory_common import paths
from observatory_common.errors import InvalidConfig

if TYPE_CHECKING:
    import ssl

FILE_NAME = "tls.json"


@dataclass(frozen=True)
class Tls:
    """PEM files: the site's private authority, and this machine's certificate and key."""

    ca: str
    certificate: str
    key: str

    def server_context(self) -> ssl.SSLContext:
        """What a daemon serves with: a caller must show a certificate of the site's authority. Raises InvalidConfig."""
        import ssl  # here, so that commands without TLS start faster

        context = self._ready(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
        context.verify_mode = ssl.CERT_REQUIRED
        return context

    def client_context(self) -> ssl.SSLContext:
        """What a client connects with: it believes the site's authority alone, and checks the daemon's host name.

        Raises InvalidConfig.
        """
        import ssl

        return self._ready(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))

    def _ready(self, context: ssl.SSLContext) -> ssl.SSLContext:
        try:
            context.load_verify_locations(self.ca)
            context.load_cert_chain(self.certificate, self.key)
        except OSError as error:  # ssl.SSLError is one
            raise InvalidConfig(
                f"TLS with {self.certificate}, {self.key} and {self.ca}: {error}", value=self.certificate
            ) from error
        return context


def load(folder: Path | None = None) -> Tls | None:
    """The site's TLS, or None where it has none. Raises InvalidConfig."""
    path = (folder or paths.registry_folder()) / FILE_NAME
    if not path.exists():
        return None
    try:
        named = json.loads(path.read_text(encoding="utf-8"))
        tls = Tls(**{key: str((path.parent / value).resolve()) for key, value in named.items()})
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise InvalidConfig(f"{path}: expected ca, certificate and key, each a file: {error}", value=str(path)) from error
    missing = [file for file in (tls.ca, tls.certificate, tls.key) if not Path(file).is_file()]
    if missing:
        raise InvalidConfig(f"{path}: there is no {missing[0]}", value=missing[0])
    return tls
