"""Where files are: registry and configs under $OBSERVATORY_ETC, state and runtime folders per instance."""

from __future__ import annotations

import os
from pathlib import Path

from observatory_common.errors import InvalidConfig

#: The kinds of daemon that there are, in the order in which they start.
KINDS = ("focusd", "camerad", "gpiod", "ftpd", "webd")


def etc_root() -> Path:
    """$OBSERVATORY_ETC, or /etc."""
    return Path(os.environ.get("OBSERVATORY_ETC") or "/etc")


def packaged_site() -> Path:
    """The simulated observatory that comes with the package."""
    return Path(__file__).parent / "site"


def registry_folder() -> Path:
    """The folder of machines.json and daemons.json; the packaged one where none is installed. Never both."""
    installed = etc_root() / "observatory"
    return installed if installed.is_dir() else packaged_site() / "observatory"


def kind_folder(kind: str) -> Path:
    """The folder of a kind's configs.

    The packaged one only where neither a registry nor a config of this kind is installed: whoever has a real focuser in
    /etc/focusd must never be led to the simulated one.
    """
    installed = etc_root() / kind
    if installed.is_dir() or (etc_root() / "observatory").is_dir():
        return installed
    return packaged_site() / kind


def list_configs(kind: str) -> list[Path]:
    """The configs of a kind, by name. Raises InvalidConfig where its folder may not be read."""
    return configs_in(kind_folder(kind))


def configs_in(folder: Path) -> list[Path]:
    """The JSON files of a folder, by name; none where there is no folder. Raises InvalidConfig where it may not be read."""
    try:
        return sorted(path for path in folder.iterdir() if path.name.endswith(".json"))
    except FileNotFoundError:
        return []
    except OSError as error:
        raise InvalidConfig(f"{folder} cannot be read: {error.strerror}", value=str(folder)) from error


def find_config(kind: str, option: str | None = None) -> Path:
    """The config a command means: `option`, else $<KIND>_CONFIG_PATH (a file or a folder), else the kind's folder.

    A folder must hold exactly one. Raises InvalidConfig, naming what was found.
    """
    variable = f"{kind.upper()}_CONFIG_PATH"
    named = option or os.environ.get(variable)
    path = Path(named) if named else kind_folder(kind)
    if path.is_file():
        return path
    if not path.is_dir():
        raise InvalidConfig(f"there is no {path}; name a config with --config FILE or {variable}", value=str(path))
    found = configs_in(path)
    if len(found) != 1:
        names = ", ".join(file.name for file in found) or "none"
        raise InvalidConfig(
            f"{path} must hold one config for this, but holds {names}; name one with --config FILE or {variable}",
            value=str(path),
        )
    return found[0]


def instance_of(path: Path) -> str:
    """The name of an instance: its file's base name, without the .json."""
    return path.name.removesuffix(".json")


def state_home() -> Path:
    """$XDG_STATE_HOME, or ~/.local/state."""
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")


def state_folder(kind: str, instance: str, configured: str | None) -> Path:
    """Where an instance keeps its state: the config's `state_path`, else $STATE_DIRECTORY, else under the state home."""
    named = configured or os.environ.get("STATE_DIRECTORY")
    return Path(named) if named else state_home() / "observatory" / kind / instance


def runtime_folder() -> Path:
    """Under which relative serial ports and simulator links stand."""
    named = os.environ.get("OBSERVATORY_RUN")
    if named:
        return Path(named)
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    return Path(runtime) / "observatory" if runtime else state_home() / "observatory" / "run"
