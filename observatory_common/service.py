"""A daemon's life: config, lock, device, socket, READY, signals, watchdog, and an end within bounds."""

from __future__ import annotations

import faulthandler
import logging
import os
import queue
import signal
import socket
import sys
import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from observatory_common import config as config_module
from observatory_common import log as log_module
from observatory_common import paths, tls
from observatory_common.access import Gate, Policy
from observatory_common.directory import Directory
from observatory_common.errors import Blocked, ExitCode, InvalidConfig
from observatory_common.json_file import Document
from observatory_common.own_address import is_own
from observatory_common.remote import RemoteDevice
from observatory_common.storage import FolderLock
from observatory_common.version import software_version

log = logging.getLogger("service")

_ADDRESS_COMES_WITHIN_S = 60.0  # less than systemd waits for READY; then it begins anew
_LOOK_AFTER_S = 1.0
_STUCK_AFTER_S = 30.0
_DEVICE_STOPS_WITHIN_S = 3.8
_SOCKET_STOPS_WITHIN_S = 0.7
_THREADS_END_WITHIN_S = 0.3
_HANGS_AFTER_S = 8.0  # at the end; systemd kills after 10 s at the earliest


@dataclass(frozen=True)
class Context:
    """What a device is built with, beside its config."""

    instance: str
    boot_id: str
    state_folder: Path
    directory: Directory
    software_version: str


@dataclass(frozen=True)
class DaemonKind:
    """A kind of daemon: its name, how its config is checked and read, and how its remote object is built.

    `also_on` gives the addresses on which it listens itself, beside the remote object's.
    """

    name: str
    schema: Mapping[str, Any]
    parse: Callable[[Document, Directory], config_module.DaemonConfig]
    build: Callable[[Any, Context], RemoteDevice]
    also_on: Callable[[Any], tuple[str, ...]] = lambda _: ()


def run(kind: DaemonKind, arguments: Sequence[str]) -> int:
    """The program `<kind> FILE`: returns its exit code (0 asked to end, 64 usage, 75 device stuck, 78 bad config)."""
    import click

    @click.command(name=kind.name, context_settings={"help_option_names": ["-h", "--help"]})
    @click.argument("file", type=click.Path(path_type=Path, readable=False))
    @click.option("--check", is_flag=True, help="Check the file, say what is wrong with it, and end.")
    @click.version_option(software_version(), message="%(prog)s %(version)s")
    def program(file: Path, check: bool) -> int:
        """Run this daemon with the config in FILE, in the foreground."""
        try:
            if check:
                _check(kind, file)
                return 0
            if not _is_sound(kind, file):
                return ExitCode.BadConfig
            life = _Life(kind, file)
            code = life.run()
        except (InvalidConfig, Blocked) as error:
            print(error, file=sys.stderr)
            return ExitCode.BadConfig
        if code == ExitCode.DeviceStuck or life.threads_left:
            os._exit(code)  # an orderly end would wait for the library that does not return
        return code

    from observatory_common.terminal import run as run_command

    return run_command(program, arguments, kind.name)


def _check(kind: DaemonKind, file: Path) -> None:
    directory = Directory.load()
    kind.parse(config_module.load(file, kind.schema, directory), directory)


def _is_sound(kind: DaemonKind, file: Path) -> bool:
    """Check a config in a child process: what the check needs (5 MB of memory) would else stay for the daemon's life.

    The complaints are printed by the child. Must be called before there are threads.
    """
    child = os.fork()
    if child:
        return os.waitpid(child, 0)[1] == 0
    code = 1
    try:
        _check(kind, file)
        code = 0
    except InvalidConfig as error:
        print(error, file=sys.stderr, flush=True)
    except BaseException:
        sys.excepthook(*sys.exc_info())  # of the child, which ends here
        raise
    finally:
        os._exit(code)


class _Life:
    """One run of a daemon, from its config to its end."""

    def __init__(self, kind: DaemonKind, file: Path) -> None:
        self._kind = kind
        self._directory = Directory.load()
        self._config = kind.parse(config_module.read_document(file), self._directory)
        self._instance = paths.instance_of(file)
        # Not an Event: a signal that comes while its wait holds its lock would wait for that lock for ever.
        self._asked_to_end: queue.SimpleQueue[None] = queue.SimpleQueue()
        #: After `run`: the names of threads that did not end, for which the interpreter would wait.
        self.threads_left: list[str] = []

    def run(self) -> int:
        folder = paths.state_folder(self._kind.name, self._instance, self._config.state_path)
        lock = FolderLock(folder)
        try:
            lock.acquire()
        except OSError as error:
            raise InvalidConfig(f"the state folder {folder} cannot be used: {error.strerror}", value=str(folder)) from error
        handle = log_module.set_up(self._config.log_name)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self._asked_to_end.put(None))
        try:
            return self._serve(folder)
        finally:
            self.threads_left = _threads_left(_THREADS_END_WITHIN_S)
            if self.threads_left:
                log.error("ending without waiting for the threads %s", ", ".join(self.threads_left))
            handle.close()
            lock.release()

    def _serve(self, folder: Path) -> int:
        # Not at the top: a check of a config needs none of it.
        from observatory_common.rpc.server import Server

        entry = self._directory.daemon(self._config.daemon)
        code = self._await_addresses(entry.host, *self._kind.also_on(self._config))
        if code is not None:
            return code
        context = Context(self._instance, uuid.uuid4().hex, folder, self._directory, software_version())
        device = self._kind.build(self._config, context)
        policy = Policy(
            self._config.control_machines, self._config.view_machines, self._config.gateway_machines, self._directory
        )
        server = Server(Gate(device), policy, entry.object, entry.host, entry.port, tls.load())
        try:
            server.start()  # before the device, which may belong to whoever has the port
        except OSError as error:
            raise InvalidConfig(
                f"{self._config.daemon} cannot listen on {entry.host} port {entry.port}: {error.strerror}", value=entry.port
            ) from error
        try:
            device.start()
        except BaseException:
            server.close(_SOCKET_STOPS_WITHIN_S)
            raise
        log.info("%s serves %s on %s port %d", self._kind.name, entry.object, entry.host, entry.port)
        notify("READY=1", f"STATUS=serves {entry.object} on {entry.host} port {entry.port}")
        try:
            return self._watch(device)
        finally:
            faulthandler.dump_traceback_later(_HANGS_AFTER_S)  # to stderr: what it hangs at, before it is killed for that
            notify("STOPPING=1")
            device.close(_DEVICE_STOPS_WITHIN_S)
            server.close(_SOCKET_STOPS_WITHIN_S)
            log.info("ended")

    def _await_addresses(self, *hosts: str) -> int | None:
        """Wait until this machine has its addresses; the exit code if it does not get them, or is to end before.

        Only under a service manager: a person in front of it reads at once, from the socket, that it cannot listen.
        """
        until_s = time.monotonic() + _ADDRESS_COMES_WITHIN_S
        missing = ""
        while "NOTIFY_SOCKET" in os.environ:
            lacking = ", ".join(host for host in hosts if not is_own(host))
            if not lacking:
                break
            if lacking != missing:
                missing = lacking
                log.warning("waiting for the network: this machine has no address %s yet", missing)
                notify(f"STATUS=waits for the address {missing}")
            if self._is_asked_to_end(_LOOK_AFTER_S):
                return 0
            if time.monotonic() > until_s:
                log.critical("this machine has no address %s: ending, to be restarted", missing)
                return ExitCode.DeviceStuck
        return None

    def _is_asked_to_end(self, within_s: float) -> bool:
        try:
            self._asked_to_end.get(timeout=within_s)
        except queue.Empty:
            return False
        return True

    def _watch(self, device: RemoteDevice) -> int:
        """Wait for the end; feed the watchdog while the device's worker makes progress."""
        watchdog_s = watchdog_interval_s()
        period_s = _LOOK_AFTER_S if watchdog_s is None else min(watchdog_s / 3, _LOOK_AFTER_S)
        fresh_s = _STUCK_AFTER_S if watchdog_s is None else watchdog_s / 2
        while not self._is_asked_to_end(period_s):
            reason = device.must_restart()
            if reason is not None:
                log.critical("%s: ending, to be restarted", reason)
                return ExitCode.DeviceStuck
            idle_s = time.monotonic() - device.last_progress()
            if idle_s < fresh_s:
                if watchdog_s is not None:
                    notify("WATCHDOG=1")
            elif idle_s > _STUCK_AFTER_S:
                log.critical("the device's worker has made no progress for %.0f s: ending, to be restarted", idle_s)
                return ExitCode.DeviceStuck
            else:
                log.error("the device's worker has made no progress for %.0f s", idle_s)
        return 0


def _threads_left(within_s: float) -> list[str]:
    """The names of the other threads that an end of the interpreter waits for, after waiting for them so long."""
    until_s = time.monotonic() + within_s
    others = [thread for thread in threading.enumerate() if thread is not threading.current_thread() and not thread.daemon]
    for thread in others:
        thread.join(max(until_s - time.monotonic(), 0))
    return [thread.name for thread in others if thread.is_alive()]


def notify(*lines: str) -> None:
    """Tell the service manager, if there is one (sd_notify)."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
        sock.connect("\0" + address[1:] if address.startswith("@") else address)
        sock.sendall("\n".join(lines).encode())


def watchdog_interval_s() -> float | None:
    """Within how many seconds the service manager wants a sign of life; None if it does not ask for one."""
    interval, pid = os.environ.get("WATCHDOG_USEC"), os.environ.get("WATCHDOG_PID")
    if not interval or (pid and int(pid) != os.getpid()):
        return None
    return int(interval) / 1e6
