"""Which camera is meant, and how it is reached."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from observatory_common.config import read_client_config
from observatory_common.errors import InvalidConfig, ObservatoryError
from observatory_common.paths import find_config, instance_of, list_configs
from observatory_common.rpc.client import RemoteDaemon, connect
from observatory_common.terminal import Options, options, print_json

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

_TAKE_A_VALUE = ("--config", "--timeout")
_COMPLETED_WITHIN_S = 0.5


class CameraFirst(click.Group):
    """A group whose first word may be the name of a camera."""

    def parse_args(self, context: click.Context, arguments: list[str]) -> list[str]:
        """Take the camera's name away, if one stands there."""
        at = _first_word(arguments)
        if at is not None and arguments[at] not in self.commands:
            known = cameras()
            if arguments[at] in known:
                context.meta["camera"] = arguments.pop(at)
            elif not context.resilient_parsing and len(arguments) > at + 1 and arguments[at + 1] in self.commands:
                names = ", ".join(known) or "none"
                raise click.UsageError(f"there is no camera {arguments[at]!r} here, only: {names}", context)
        return super().parse_args(context, arguments)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """The names of the cameras, if none stands there yet, then the commands."""
        from click.shell_completion import CompletionItem

        named = ctx.meta.get("camera") is not None or incomplete.startswith("-")
        names = [] if named else [CompletionItem(name) for name in cameras() if name.startswith(incomplete)]
        return [*names, *super().shell_complete(ctx, incomplete)]


def _first_word(arguments: list[str]) -> int | None:
    """Where the first word stands that is neither an option nor an option's value."""
    value = False
    for number, word in enumerate(arguments):
        if not value and not word.startswith("-"):
            return number
        value = not value and word in _TAKE_A_VALUE
    return None


def cameras() -> dict[str, Path]:
    """The configs of the cameras of this machine by their names: those of $CAMERAD_CONFIG_PATH, else of the site."""
    named = os.environ.get("CAMERAD_CONFIG_PATH")
    if named:
        path = Path(named)
        paths = [path] if path.is_file() else sorted(path.glob("*.json"))
    else:
        paths = list_configs("camerad")
    return {instance_of(path): path for path in paths}


def config_of(context: click.Context) -> Path:
    """The config of the camera that is meant. Raises InvalidConfig, naming those that there are."""
    root = context.find_root()
    option = root.ensure_object(Options).config
    named = root.meta.get("camera")
    if named is not None:
        if option is not None:
            raise click.UsageError(f"the camera {named} and --config {option} are both given", root)
        return cameras()[named]
    try:
        return find_config("camerad", option)
    except InvalidConfig as error:
        names = ", ".join(cameras())
        raise InvalidConfig(f"{error}; or say which camera: {names}" if names and not option else str(error)) from None


def open_camera(timeout_s: float | None = None) -> RemoteDaemon:
    """The camera that is meant; contacts nobody yet. `timeout_s` replaces the registry's."""
    return connect(read_client_config(config_of(click.get_current_context()))["daemon"], timeout_s=timeout_s)


def patiently(camera: RemoteDaemon, method: str, *arguments: Any) -> Any:
    """Call what takes the camera's time: at most --timeout, which else is as long as the client knows it may take."""
    return camera.call(method, *arguments, timeout_s=options().timeout_s)


def place_elsewhere() -> str | None:
    """`MACHINE (ADDRESS)` of a daemon whose address is not one of this machine's; None for one that runs here."""
    from observatory_common.directory import Directory

    entry = Directory.load().daemon(read_client_config(config_of(click.get_current_context()))["daemon"])
    return None if is_here(entry.host) else f"{entry.machine} ({entry.host})"


def is_here(host: str) -> bool:
    """Whether an address or name is one of this machine's own: only those can be listened on."""
    try:
        found = socket.getaddrinfo(host, 0, type=socket.SOCK_DGRAM)
    except OSError:
        return False
    for family, kind, protocol, _, address in found:
        try:
            with socket.socket(family, kind, protocol) as sock:
                sock.bind(address)
                return True
        except OSError:
            continue
    return False


def completed(ask: Callable[[RemoteDaemon], list[str]]) -> Callable[[Any, Any, str], list[CompletionItem]]:
    """Completion with what the camera says, if it answers soon."""

    def complete(context: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
        from click.shell_completion import CompletionItem

        try:
            name = read_client_config(config_of(context))["daemon"]
            with connect(name, timeout_s=_COMPLETED_WITHIN_S) as camera:
                return [CompletionItem(word) for word in ask(camera) if word.startswith(incomplete)]
        except (ObservatoryError, click.UsageError):
            return []

    return complete


def print_if_json(answer: Any) -> None:
    """What a command that is silent otherwise says with --json."""
    if options().json:
        print_json(answer)
