"""The remote object: the gateway as the other daemons see it, and the owner of all its parts."""

from __future__ import annotations

import logging
import time
from typing import Any

from observatory_common import timestamps, tls
from observatory_common.access import local, view
from observatory_common.audit import Audit
from observatory_common.errors import CommandFailed, InvalidConfig, ObservatoryError
from observatory_common.remote import RemoteDevice
from observatory_common.service import Context
from observatory_webd.accounts.accounts import Accounts
from observatory_webd.accounts.identity import Identity
from observatory_webd.accounts.reset import STORE_FILE
from observatory_webd.app import make_server_app
from observatory_webd.config import WebdConfig
from observatory_webd.links.links import Links
from observatory_webd.server import HttpServer
from observatory_webd.services import Services
from observatory_webd.store.active import ActiveCameras
from observatory_webd.store.database import Store
from observatory_webd.store.settings import WebSettings
from observatory_webd.streams.relay import Viewer
from observatory_webd.streams.relays import Relays

log = logging.getLogger("webd")

FIRST_LINK_FILE = "first-administrator"
_LOOKED_AT_EVERY_S = 2.0


class Web(RemoteDevice):
    """The HTTP server, what it keeps, and its links to the daemons that it shows."""

    def __init__(self, config: WebdConfig, context: Context) -> None:
        audit = Audit()
        super().__init__("webd", context.instance, context.boot_id, context.software_version, audit)
        self._config = config
        self._audit = audit
        self._looked_at = 0.0
        self._last_error: str | None = None
        self._is_started = False
        self._store = Store(context.state_folder / STORE_FILE)
        self._store.open()
        self._server = HttpServer(config.host, config.port, config.tls)
        self._address = _address(config, self._server.port)
        links = Links(config.shown, context.directory, tls.load())
        settings, names = WebSettings(self._store), [link.name for link in links.of_kind("camera")]
        self._services = Services(
            config=config,
            context=context,
            store=self._store,
            settings=settings,
            accounts=Accounts(config, self._store, audit, context.state_folder / FIRST_LINK_FILE, self._address),
            links=links,
            relays=Relays(names, lambda name: links.camera(name).connect(), order=ActiveCameras(settings, names).order),
            port=self._server.port,
            started=timestamps.utc_now(),
        )

    # a daemon's life

    @local
    def start(self) -> None:
        """Serve pages and API, and watch the daemons. Raises InvalidConfig."""
        services = self._services
        try:
            services.accounts.first.prepare()
        except CommandFailed as error:
            raise InvalidConfig(str(error), value=error.value) from error
        self._server.start(make_server_app(services), self._beat)
        services.links.feed.attach(self._server.loop)
        services.links.start()
        self._is_started = True
        log.info("pages and API at %s", self._address)

    @local
    def last_progress(self) -> float:
        """When the HTTP server's loop last showed life, on the monotonic clock."""
        return self._server.last_progress()

    @local
    def close(self, deadline_s: float) -> None:
        """End all connections and threads, within about `deadline_s` seconds."""
        until = time.monotonic() + deadline_s
        services = self._services
        services.links.feed.close()
        services.relays.close(deadline_s / 4)
        if not self._server.close(max(until - time.monotonic(), 0.1) * 0.7):
            log.error("the HTTP server has not ended in its time")
        services.links.feed.attach(None)
        if not services.links.close(max(until - time.monotonic(), 0.1)):
            log.warning("a daemon has not answered, and was not waited for")
        services.accounts.close(max(until - time.monotonic(), 0.1))
        self._store.close()
        self._audit.flush(everything=True)
        super().close(deadline_s)

    # remote methods

    @view
    def report_status(self) -> dict[str, Any]:
        """Everything known now; keys are always there, what is unknown is None. `state` is starting, serving or closed."""
        services, server = self._services, self._server
        seen = {link.source: link.seen for link in services.links}
        status = self.common_status()
        status.update(
            state="starting" if not self._is_started else "serving" if server.loop is not None else "closed",
            last_error=self._last_error or self._store.failure,
            reading_age_s=round(time.monotonic() - server.last_progress(), 6),
            address=self._address,
            port=server.port,
            public_streams=self._config.public_streams,
            needs_first_administrator=services.accounts.first.wanted,
            first_administrator_file=str(services.accounts.first.file),
            users=None,
            logins=None,
            daemons=list(seen),
            daemons_away=[source for source, one in seen.items() if not one.reachable],
            streams=services.relays.to_wire(),
            listeners=services.links.feed.listeners,
        )
        try:
            status.update(users=services.accounts.users.count(), logins=services.accounts.sessions.count())
        except ObservatoryError as error:
            status.update(last_error=str(error))
        return status

    async def _beat(self) -> None:
        """Now and then, on the server's loop: what must end by itself does."""
        services = self._services
        if time.monotonic() - self._looked_at < _LOOKED_AT_EVERY_S:
            return
        self._looked_at = time.monotonic()
        self._audit.flush()
        try:
            services.relays.end(lambda viewer: not _may_look(services, viewer), "the login has ended")
            await services.accounts.aside(services.accounts.first.refresh)
            self._last_error = None
        except ObservatoryError as error:
            if self._last_error != str(error):
                log.error("%s", error)
            self._last_error = str(error)


def _may_look(services: Services, viewer: Viewer) -> bool:
    user = viewer.user
    return services.accounts.is_valid(user) if isinstance(user, Identity) else services.config.public_streams


def _address(config: WebdConfig, port: int) -> str:
    """Where a browser of this machine finds us."""
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(config.host, f"[{config.host}]" if ":" in config.host else config.host)
    return f"{'http' if config.tls is None else 'https'}://{host}:{port}"
