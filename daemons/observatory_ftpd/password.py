"""Hashes of passwords, and `ftpd-password`, which makes one for the config."""

from __future__ import annotations

import sys


def hash_of(password: str) -> str:
    """The argon2 hash of a password, for the config. Takes 0.1 s and 64 MB on purpose."""
    from argon2 import PasswordHasher

    return PasswordHasher().hash(password)


def is_hash(text: str) -> bool:
    """Whether a text is an argon2 hash."""
    from argon2 import extract_parameters
    from argon2.exceptions import InvalidHashError

    try:
        extract_parameters(text)
    except InvalidHashError:
        return False
    return True


def fits(hashed: str, password: str) -> bool:
    """Whether it is the password of this hash; takes as long as making it."""
    from argon2 import PasswordHasher
    from argon2.exceptions import Argon2Error

    try:
        return PasswordHasher().verify(hashed, password)
    except Argon2Error:
        return False


def hash_like(hashed: str) -> str:
    """The hash of a password that nobody has, as slow to check as `hashed`."""
    import secrets

    from argon2 import PasswordHasher, extract_parameters

    return PasswordHasher.from_parameters(extract_parameters(hashed)).hash(secrets.token_hex())


def main() -> None:
    """Ask for a password and print its hash; ends the process."""
    import click

    from observatory_common.terminal import run

    @click.command(context_settings={"help_option_names": ["-h", "--help"]})
    def program() -> None:
        """Ask for a password (on a terminal: twice), or read one line, and print its argon2 hash for ftpd's config."""
        if sys.stdin.isatty():
            entered = click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
        else:
            entered = sys.stdin.readline().rstrip("\n")
        if not entered:
            raise click.ClickException("an empty password is none")
        click.echo(hash_of(entered))

    sys.exit(run(program, sys.argv[1:], "ftpd-password"))


if __name__ == "__main__":
    main()
