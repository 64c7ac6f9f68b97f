"""ftpd as a real process on a site of its own, before a camera that the test brings."""

from __future__ import annotations

import ftplib
import io
import json
import socket
import ssl
import struct
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import observatory
import waiting
from site_process import SiteProcess

from observatory_common.directory import Directory
from observatory_common.rpc.client import RemoteDaemon, connect

NAME = "test_ftp"
CAMERA = "test_camera"
FILE = "mandeye_config.json"
PASSWORD = "secret of the drop"
TOO_LARGE = "a configuration is at most 1048576 bytes"
GOOD = {"ExposureTime": 20000, "AnalogueGain": 4.0}


def cheap_hash(password: str) -> str:
    """A hash that takes no time to check."""
    from argon2 import PasswordHasher

    return PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(password)


def config_text(section: Mapping[str, Any]) -> bytes:
    """The text of a configuration."""
    return json.dumps({"picamera": section}).encode()


class Ftpd(SiteProcess):
    """An ftpd with the users `dropper` and `reader`. Files stand under `folder`. `config` is added; None takes a key away."""

    kind = "ftpd"

    def __init__(self, folder: Path, camera_port: int, /, *, machines: Mapping[str, Any] | None = None, **config: Any) -> None:
        super().__init__(folder)
        self.ftp_port = observatory.free_port()
        self.port = observatory.free_port()
        self.drop = folder / "state" / "observatory" / "ftpd" / "drop-box" / "drop"
        self.config_path = self.etc / "ftpd" / "drop-box.json"
        hashed = cheap_hash(PASSWORD)
        users = [
            {"name": name, "password": hashed, "rights": rights} for name, rights in (("dropper", "drop"), ("reader", "read"))
        ]
        self.config: dict[str, Any] = {
            "daemon": NAME,
            "log_name": "ftpd@drop-box",
            "control_machines": ["LocalHost"],
            "camera": CAMERA,
            "host": "127.0.0.1",
            "port": self.ftp_port,
            "users": users,
            **config,
        }
        daemons = {NAME: {"machine": "LocalHost", "port": self.port}, CAMERA: {"machine": "LocalHost", "port": camera_port}}
        self.write("observatory/machines.json", machines or {})
        self.write("observatory/daemons.json", daemons)
        self.write("ftpd/drop-box.json", {key: value for key, value in self.config.items() if value is not None})
        self.directory = Directory.load(self.etc / "observatory")

    # its process

    def start(self) -> None:
        """Start, and wait until it serves."""
        self.spawn([sys.executable, "-m", "observatory_ftpd", str(self.config_path)])
        with self.connect() as daemon:
            waiting.until(lambda: (self.status_of(daemon) or {"state": "closed"})["state"] != "closed", 20, "ftpd to serve")

    def check(self) -> subprocess.CompletedProcess[str]:
        """Run it to its end: for a config that it refuses."""
        command = [sys.executable, "-m", "observatory_ftpd", str(self.config_path)]
        return subprocess.run(command, env=self.env, capture_output=True, text=True, timeout=20, check=False)

    def close(self) -> None:
        """End it; it must end well, and have logged no trace of a bug."""
        self.end_well()
        assert not [line for line in self.log_lines() if "Traceback" in line or "unexpected error" in line], self.log_lines()

    # its clients

    def connect(self) -> RemoteDaemon:
        """A client of its remote object."""
        return connect(NAME, directory=self.directory)

    def status(self) -> dict[str, Any]:
        """Its status."""
        with self.connect() as daemon:
            status: dict[str, Any] = daemon.report_status()
            return status

    def ftp(self, user: str = "dropper", password: str = PASSWORD, source: str | None = None) -> ftplib.FTP:
        """A client of ftplib, logged in. `source`: the address of this machine that it comes from."""
        client = ftplib.FTP()
        try:
            client.connect("127.0.0.1", self.ftp_port, timeout=10, source_address=None if source is None else (source, 0))
        except ftplib.Error:
            client.close()
            raise
        return _logged_in(client, user, password)

    def ftps(self, user: str = "dropper", password: str = PASSWORD) -> ftplib.FTP_TLS:
        """The same under TLS, also for the data."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        client = ftplib.FTP_TLS(context=context)
        client.connect("127.0.0.1", self.ftp_port, timeout=10)
        _logged_in(client, user, password)
        client.prot_p()
        return client

    def raw(self, source: str | None = None) -> socket.socket:
        """A connection on which nothing has been said."""
        address = None if source is None else (source, 0)
        return socket.create_connection(("127.0.0.1", self.ftp_port), timeout=10, source_address=address)

    # what lies there

    def report(self) -> dict[str, Any] | None:
        """The report file."""
        path = self.drop / f"{FILE}.report"
        return json.loads(path.read_text()) if path.exists() else None

    def report_of(self, number: int, *outcomes: str, timeout_s: float = 20) -> dict[str, Any]:
        """The report, once it is about this upload and says one of the outcomes (default: any end)."""
        wanted = outcomes or ("applied", "partly", "refused", "failed")

        def found() -> dict[str, Any] | None:
            report = self.report()
            return report if report is not None and report["number"] == number and report["outcome"] in wanted else None

        return waiting.until(found, timeout_s, f"the report of upload {number}") or {}

    def names(self) -> set[str]:
        """The files in the folder, also the hidden ones."""
        return {path.name for path in self.drop.iterdir()}


def _logged_in(client: ftplib.FTP, user: str, password: str) -> ftplib.FTP:
    try:
        client.login(user, password)
    except (ftplib.Error, OSError, EOFError):
        client.close()
        raise
    return client


@contextmanager
def daemon(folder: Path, camera_port: int, /, **config: Any) -> Iterator[Ftpd]:
    """A running ftpd."""
    folder.mkdir(parents=True, exist_ok=True)
    running = Ftpd(folder, camera_port, **config)
    try:
        running.start()
        yield running
    finally:
        running.close()


def upload(client: ftplib.FTP, name: str, data: bytes) -> str:
    """STOR; the server's reply. Raises ftplib's errors."""
    return client.storbinary(f"STOR {name}", io.BytesIO(data))


def timed_upload(client: ftplib.FTP, name: str, data: bytes) -> float:
    """STOR; when its last byte had been given to the kernel, on the monotonic clock. Raises ftplib's errors."""
    with client.transfercmd(f"STOR {name}") as connection:
        connection.sendall(data)
        sent_s = time.monotonic()
        if isinstance(connection, ssl.SSLSocket):
            connection.unwrap()
    client.voidresp()
    return sent_s


def refused_upload(client: ftplib.FTP, name: str, source: Any) -> str:
    """STOR of something that is refused on the way; the server's reply, which comes after the end of the data."""
    try:
        client.storbinary(f"STOR {name}", source)
    except ftplib.Error as error:
        return str(error)
    except OSError:  # the server has closed the data connection
        return client.getmultiline()
    raise AssertionError(f"{name} was accepted")


def reset(connection: socket.socket) -> None:
    """End a connection by a reset, without a farewell."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


class Endless(io.RawIOBase):
    """Bytes without end, so many that a server without limits would fill the disk."""

    def __init__(self, size: int) -> None:
        self.left = size

    def read(self, size: int = -1) -> bytes:
        """Spaces, which are good JSON so far."""
        size = min(size, self.left)
        self.left -= size
        return b" " * size
