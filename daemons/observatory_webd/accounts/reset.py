"""`python -m observatory_webd.accounts.reset FILE`: a new password for an administrator, given on the host itself."""

from __future__ import annotations

import secrets
import sys
from pathlib import Path

from observatory_common import config as configs
from observatory_common import paths
from observatory_common.directory import Directory
from observatory_common.errors import CommandFailed, InvalidArgument
from observatory_webd import config
from observatory_webd.accounts.identity import Role
from observatory_webd.accounts.passwords import hash_of
from observatory_webd.accounts.users import Users
from observatory_webd.store.database import Store

STORE_FILE = "webd.sqlite"
#: Where the packages have configs, and systemd the state of services; no shell of root has systemd's environment.
_SYSTEM_CONFIGS, _SYSTEM_STATE = Path("/etc/webd"), Path("/var/lib/webd")


def reset(file: Path, user: str | None = None) -> tuple[str, str]:
    """Give the first administrator (or `user`, who becomes one, new if need be) a random password, to be changed at once.

    The first is the one made first of those that there are. `file` is webd's config; a running webd need not be ended. All
    logins and tokens of the user end. Answers with the user's name and the password. Raises InvalidConfig (also for a store
    that may not be read), InvalidArgument, CommandFailed.
    """
    directory = Directory.load()
    parsed = config.parse(configs.load(file, config.SCHEMA, directory), directory)
    path = _store_file(file, parsed.state_path)
    store = Store(path)
    store.open()
    try:
        users = Users(store)
        password = secrets.token_urlsafe(12)
        found = users.find(user) if user is not None else None
        administrators = [one for one in users.all() if one.role is Role.administrator]
        chosen = None if found is None else found[0]
        if user is None:
            chosen = min(administrators, key=lambda one: one.id, default=None)
        if chosen is None:
            chosen = users.add("administrator" if user is None else user, Role.administrator, hash_of(password), True)
        else:
            users.set_password(chosen, hash_of(password), True)
            users.set_role(chosen.name, Role.administrator)
        return chosen.name, password
    finally:
        store.close()


def _store_file(file: Path, configured: str | None) -> Path:
    """The store of the webd with this config: for one of /etc where systemd has it, whoever asks."""
    instance = paths.instance_of(file)
    folder = paths.state_folder("webd", instance, configured)
    of_system = _SYSTEM_STATE / instance
    try:
        if configured is None and file.absolute().parent == _SYSTEM_CONFIGS and of_system.is_dir():
            folder = of_system
        if (folder / STORE_FILE).is_file():
            return folder / STORE_FILE
    except PermissionError as error:
        raise CommandFailed(f"{error.filename} may not be read: do this as webd's user or root", value=str(folder)) from None
    raise InvalidArgument(f"there is no {folder / STORE_FILE}: webd has never run with {file}", value=str(folder))


def main() -> None:
    """Print the name and the password; ends the process."""
    import click

    from observatory_common.terminal import common_options, options, print_json, run

    @click.command(context_settings={"help_option_names": ["-h", "--help"]})
    @click.argument("file", type=click.Path(path_type=Path))
    @click.option("--user", help="Who; by default the first administrator.")
    @common_options("json")
    def program(file: Path, user: str | None) -> None:
        """Give an administrator of the webd with the config in FILE a new password, which is printed."""
        name, password = reset(file, user)
        if options().json:
            print_json({"user": name, "password": password})
        else:
            click.echo(f"{name} has the password {password} until the next login, which asks for another one")

    sys.exit(run(program, sys.argv[1:], "webd-reset-admin"))


if __name__ == "__main__":
    main()
