"""Which instance of a daemon is meant, and how it is reached."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import click

from observatory_common.config import read_client_config
from observatory_common.errors import InvalidConfig, ObservatoryError
from observatory_common.paths import configs_in, find_config, instance_of, list_configs
from observatory_common.rpc.client import RemoteDaemon, connect
from observatory_common.terminal import Options, options, print_json

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

_TAKE_A_VALUE = ("--config", "--timeout")
_COMPLETED_WITHIN_S = 0.5


class Instances:
    """The daemons of a kind (`camerad`) that have a config here; `noun` is what people call one (`camera`)."""

    def __init__(self, kind: str, noun: str) -> None:
        self.kind = kind
        self.noun = noun

    def configs(self) -> dict[str, Path]:
        """The configs of this machine by the names of their instances: those of $<KIND>_CONFIG_PATH, else of the site."""
        named = os.environ.get(f"{self.kind.upper()}_CONFIG_PATH")
        if named:
            path = Path(named)
            paths = [path] if path.is_file() else configs_in(path)
        else:
            paths = list_configs(self.kind)
        return {instance_of(path): path for path in paths}

    def config_of(self, context: click.Context) -> Path:
        """The config of the instance that is meant. Raises InvalidConfig, naming those that there are, and UsageError."""
        root = context.find_root()
        option = root.ensure_object(Options).config
        named = root.meta.get("instance")
        if named is not None:
            if option is not None:
                raise click.UsageError(f"the {self.noun} {named} and --config {option} are both given", root)
            return self.configs()[named]
        try:
            return find_config(self.kind, option)
        except InvalidConfig as error:
            names = ", ".join(self.configs())
            hint = f"; or say which {self.noun}: {names}" if names and not option else ""
            raise InvalidConfig(f"{error}{hint}") from None

    def open(self, timeout_s: float | None = None) -> RemoteDaemon:
        """The daemon that is meant; contacts nobody yet. `timeout_s` replaces the registry's."""
        return connect(self.daemon_of(click.get_current_context()), timeout_s=timeout_s)

    def daemon_of(self, context: click.Context) -> str:
        """The registry's name of the daemon that is meant. Raises InvalidConfig, UsageError."""
        name: str = read_client_config(self.config_of(context))["daemon"]
        return name

    def asked(self, context: click.Context, ask: Callable[[RemoteDaemon], list[str]], incomplete: str) -> list[CompletionItem]:
        """What the daemon says, of that what begins so: for completion, so nothing if it does not answer soon."""
        from click.shell_completion import CompletionItem

        try:
            with connect(self.daemon_of(context), timeout_s=_COMPLETED_WITHIN_S) as daemon:
                return [CompletionItem(word) for word in ask(daemon) if word.startswith(incomplete)]
        except (ObservatoryError, click.UsageError):
            return []

    def completed(
        self, ask: Callable[[RemoteDaemon], list[str]]
    ) -> Callable[[click.Context, click.Parameter, str], list[CompletionItem]]:
        """Completion of a parameter with what the daemon says, if it answers soon."""
        return lambda context, _, incomplete: self.asked(context, ask, incomplete)


class InstanceFirst(click.Group):
    """A group whose first word may be the name of an instance."""

    instances: ClassVar[Instances]

    def parse_args(self, context: click.Context, arguments: list[str]) -> list[str]:
        """Take the instance's name away, if one stands there."""
        at = _first_word(arguments)
        if at is not None and arguments[at] not in self.commands:
            known = self.instances.configs()
            word, following = arguments[at], arguments[at + 1 :]
            if word in known:
                if self.is_instance(context, arguments, at):
                    context.meta["instance"] = arguments.pop(at)
            elif not context.resilient_parsing and following and following[0] in self.commands:
                self.refuse_instance(context, word, ", ".join(known) or "none")
        return super().parse_args(context, arguments)

    def is_instance(self, context: click.Context, arguments: list[str], at: int) -> bool:
        """Whether the word at that place, which is an instance's name, means the instance. Raises UsageError."""
        return True

    def refuse_instance(self, context: click.Context, word: str, known: str) -> None:
        """Raise UsageError for a word before a command, which is no instance's name."""
        raise click.UsageError(f"there is no {self.instances.noun} {word!r} here, only: {known}", context)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """The names of the instances, if none stands there yet, then the commands."""
        from click.shell_completion import CompletionItem

        named = ctx.meta.get("instance") is not None or incomplete.startswith("-")
        names = [] if named else [CompletionItem(name) for name in self.instances.configs() if name.startswith(incomplete)]
        return [*names, *super().shell_complete(ctx, incomplete)]


def _first_word(arguments: list[str]) -> int | None:
    """Where the first word stands that is neither an option nor an option's value."""
    value = False
    for number, word in enumerate(arguments):
        if not value and not word.startswith("-"):
            return number
        value = not value and word in _TAKE_A_VALUE
    return None


def patiently(daemon: RemoteDaemon, method: str, *arguments: Any) -> Any:
    """Call what takes the device's time: at most --timeout, which else is as long as the client knows it may take."""
    return daemon.invoke(method, *arguments, timeout_s=options().timeout_s)


def print_if_json(answer: Any) -> None:
    """What a command that is silent otherwise says with --json."""
    if options().json:
        print_json(answer)
