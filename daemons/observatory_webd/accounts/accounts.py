"""Who may come in: logins, tokens, and what follows when something about a user changes."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from observatory_common.audit import Audit
from observatory_common.errors import CommandStatus
from observatory_webd.accounts.first import FirstLink
from observatory_webd.accounts.identity import Identity, Role, User
from observatory_webd.accounts.limits import Guesses, network_of
from observatory_webd.accounts.passwords import Passwords, checked_password
from observatory_webd.accounts.script_logins import LABEL, ScriptLogins
from observatory_webd.accounts.sessions import Session, Sessions, hash_of
from observatory_webd.accounts.tokens import Token, Tokens
from observatory_webd.accounts.users import Users
from observatory_webd.config import WebdConfig, holds
from observatory_webd.errors import Forbidden, NotLoggedIn, PasswordChangeRequired, TooManyTries
from observatory_webd.lanes import Busy, Lane
from observatory_webd.store.database import Store

log = logging.getLogger("webd")

_KNOWN_FOR_S = 180 * 86400.0
_WRONG = "wrong name or password"

_T = TypeVar("_T")


class Accounts:
    """Users, logins, tokens. Methods that are awaited belong to the server's loop, the others to any thread."""

    def __init__(self, config: WebdConfig, store: Store, audit: Audit, first_link: Path, address: str) -> None:
        self.users = Users(store)
        self.sessions = Sessions(store, config.session)
        self.tokens = Tokens(store)
        self.script_logins = ScriptLogins(store, self.tokens, config.script_logins)
        self.first = FirstLink(self.users, first_link, address)
        self.audit = audit
        self._config = config
        self._store = store
        self._passwords = Passwords()
        self._guesses = Guesses()
        self._aside = Lane("store", 1, 256)

    def close(self, deadline_s: float) -> None:
        """End the threads."""
        self._passwords.close(deadline_s / 2)
        self._aside.close()

    async def aside(self, work: Callable[[], _T]) -> _T:
        """Do what may wait for the disk in a thread."""
        return await asyncio.wrap_future(self._aside.submit(work))

    # who is it

    def by_session(self, secret: str, address: str) -> Identity | None:
        """Whoever's browser sends this secret, from an address that may log in."""
        hash = hash_of(secret)
        session = self.sessions.find(hash)
        user = None if session is None else self.users.by_id(session.user_id)
        if session is None or user is None or not holds(self._config.login_from, address):
            return None
        if self.sessions.needs_touch(session):
            self._soon(partial(self.sessions.touch, session))
        found = self.identity_of(user, address)
        return replace(found, session=session.hash, csrf_token=session.csrf_token)

    def by_token(self, secret: str, address: str) -> Identity | None:
        """Whoever's script sends this token, from an address that may log in."""
        return self.of_token(self.tokens.find(secret), address)

    def of_token(self, token: Token | None, address: str) -> Identity | None:
        """Whoever's script uses this token, from an address that may log in."""
        user = None if token is None else self.users.by_id(token.user_id)
        if token is None or user is None or not holds(self._config.login_from, address):
            return None
        if self.tokens.needs_touch(token):
            self._soon(partial(self.tokens.touch, token))
        found = self.identity_of(user, address)
        return replace(found, role=min(found.role, token.role), token_id=token.id)

    def identity_of(self, user: User, address: str) -> Identity:
        """A user at an address: who is not within `control_from` may only look."""
        role = user.role if holds(self._config.control_from, address) else min(user.role, Role.viewer)
        return Identity(user.id, user.name, role, address, user.must_change_password)

    def is_valid(self, identity: Identity) -> bool:
        """Whether whoever once was let in would still be: not logged out, removed, or revoked since."""
        user = self.users.by_id(identity.user_id)
        if user is None or user.must_change_password != identity.must_change_password or user.role < identity.role:
            return False
        if identity.session is not None:
            return self.sessions.find(identity.session) is not None
        return identity.token_id is None or self.tokens.is_kept(identity.token_id)

    # coming in

    async def check_password(self, name: str, password: str, address: str) -> tuple[User, str]:
        """The user of this name and password, and the password's hash.

        Raises NotLoggedIn (which says not what was wrong), TooManyTries, Forbidden, Busy.
        """
        if not holds(self._config.login_from, address):
            self.audit.refused(address, "login", CommandStatus.InvalidControlIP, "not from this address")
            raise Forbidden(f"nobody may log in from {address}", value=address)
        found = self.users.find(name)
        hashed = None if found is None else found[1]
        # Places from which the user has logged in before do not count for the name, so that nobody is locked out.
        is_known = found is not None and self._is_known(found[0], address)
        try:
            fits = await self._guesses.attempt(
                network_of(address), None if is_known else name.casefold(), lambda: self._passwords.fits(hashed, password)
            )
        except TooManyTries:
            self.audit.refused(address, "login", CommandStatus.InvalidControlIP, "too many wrong passwords")
            raise
        if not fits or found is None:
            self.audit.refused(address, "login", CommandStatus.InvalidControlIP, _WRONG)
            raise NotLoggedIn(_WRONG)
        return found

    async def log_in(self, name: str, password: str, address: str, instead_of: str | None) -> tuple[str, Session, User]:
        """A new login: the browser's secret, the login, the user; the one with the secret `instead_of` ends."""
        user, checked = await self.check_password(name, password, address)
        secret, session = await self.aside(partial(self._open, user, checked, address, instead_of))
        self._tell(f"{user.name} ({address})", "login", user=user.name)
        return secret, session, user

    async def log_in_script(self, name: str, password: str, address: str) -> tuple[str, str | None]:
        """A new login of a script: its access token, and its refresh token if there is one.

        Raises as `check_password`, and PasswordChangeRequired for a password that was given by somebody.
        """
        user, checked = await self.check_password(name, password, address)
        if user.must_change_password:
            self.audit.refused(address, "login", CommandStatus.InvalidControlIP, "the password has to be changed first")
            raise PasswordChangeRequired(f"{user.name} has to change the password first", value=user.name)
        tokens = await self.aside(partial(self._open_script, user, checked, address))
        self._tell(f"{user.name} ({address})", "login", user=user.name, by=LABEL)
        return tokens

    async def log_out(self, identity: Identity) -> None:
        """End the login by which a request came."""
        if identity.session is not None:
            await self.aside(partial(self.sessions.close, identity.session))
            self._tell(str(identity), "logout")

    async def make_first(self, token: str, name: str, password: str, address: str) -> tuple[str, Session, User]:
        """The first administrator, made with the one-time link, and logged in. Raises NotLoggedIn, InvalidArgument..."""
        if not self.first.fits(token):
            self.audit.refused(address, "setup", CommandStatus.InvalidControlIP, "no such link")
            raise NotLoggedIn("this link is not, or no longer, valid; webd prints the present one when it starts")
        hashed = await self._passwords.hash(checked_password(password, name))
        user = await self.aside(lambda: self.users.add(name, Role.administrator, hashed, False, only_first=True))
        self.first.used()
        secret, session = await self.aside(partial(self._open, user, hashed, address, None))
        self._tell(f"{user.name} ({address})", "setup", user=user.name)
        return secret, session, user

    # changes

    async def change_password(self, identity: Identity, present: str, new: str) -> tuple[str, Session]:
        """One's own password; all logins end, and a new one begins. Raises NotLoggedIn, TooManyTries, InvalidArgument."""
        user, checked = await self.check_password(identity.name, present, identity.address)
        hashed = await self._passwords.hash(checked_password(new, user.name))
        opened = await self.aside(partial(self._change_password, user, checked, hashed, identity.address))
        self._tell(str(identity), "change_password")
        return opened

    async def add_user(self, by: Identity, name: str, role: Role, password: str) -> User:
        """A new user, who has to change this password first. Raises InvalidArgument, AlreadyThere."""
        hashed = await self._passwords.hash(checked_password(password, name))
        user = await self.aside(lambda: self.users.add(name, role, hashed, True))
        self._tell(str(by), "add_user", user=name, role=role.name)
        return user

    async def give_password(self, by: Identity, name: str, password: str) -> User:
        """Another password for somebody, to be changed first; all logins and tokens of that user end. Raises NotThere."""
        user = self.users.named(name)
        hashed = await self._passwords.hash(checked_password(password, user.name))
        await self.aside(lambda: self.users.set_password(user, hashed, True))
        self._tell(str(by), "give_password", user=user.name)
        return self.users.named(name)

    async def set_role(self, by: Identity, name: str, role: Role) -> User:
        """Another role for a user, at once. Raises NotThere, CommandFailed for the last administrator."""
        user = await self.aside(lambda: self.users.set_role(name, role))
        self._tell(str(by), "set_role", user=user.name, role=role.name)
        return user

    async def remove_user(self, by: Identity, name: str) -> User:
        """Remove a user, with all logins and tokens, at once. Raises NotThere, CommandFailed for the last administrator."""
        user = await self.aside(lambda: self.users.remove(name))
        self._tell(str(by), "remove_user", user=user.name)
        return user

    async def add_token(self, identity: Identity, label: str, role: Role, lasts_s: float | None) -> tuple[str, Token]:
        """A token for a script, and its secret. Raises NotLoggedIn, Forbidden for a role above one's own, InvalidArgument."""
        if identity.session is None:
            raise Forbidden("a token cannot make another: log in")
        if role > identity.role:
            raise Forbidden(f"{identity.name} is {identity.role.name} here and cannot make a token for the role {role.name}")
        made = await self.aside(partial(self._add_token, identity, label, role, lasts_s))
        self._tell(str(identity), "add_token", label=label, role=role.name)
        return made

    # what is done in one transaction: a check of a password takes a while, and what it was for may have changed meanwhile

    def _open(self, user: User, checked: str, address: str, instead_of: str | None) -> tuple[str, Session]:
        with self._store.transaction():
            self._require(user, checked, address)
            if instead_of is not None:
                self.sessions.close(hash_of(instead_of))
            self._note_address(user, address)
            return self.sessions.open(user.id, address)

    def _open_script(self, user: User, checked: str, address: str) -> tuple[str, str | None]:
        with self._store.transaction():
            self._require(user, checked, address)
            self._note_address(user, address)
            return self.script_logins.open(user)

    def _change_password(self, user: User, checked: str, hashed: str, address: str) -> tuple[str, Session]:
        with self._store.transaction():
            self._require(user, checked, address)
            self.users.set_password(user, hashed, False)
            return self._open(user, hashed, address, None)

    def _add_token(self, identity: Identity, label: str, role: Role, lasts_s: float | None) -> tuple[str, Token]:
        with self._store.transaction():
            user = self.users.by_id(identity.user_id)
            if user is None or not self.is_valid(identity):
                raise NotLoggedIn(f"{identity.name} is not logged in any longer", value=identity.name)
            return self.tokens.add(user, label, role, lasts_s)

    def _require(self, user: User, checked: str, address: str) -> None:
        try:
            self.users.require(user, checked)
        except NotLoggedIn as error:
            self.audit.refused(address, "login", CommandStatus.InvalidControlIP, str(error))
            raise NotLoggedIn(_WRONG) from None

    def _note_address(self, user: User, address: str) -> None:
        now = time.time()
        self._store.write("DELETE FROM known_addresses WHERE used_at < ?", now - _KNOWN_FOR_S)
        self._store.write(
            "INSERT INTO known_addresses (user_id, address, used_at) VALUES (?, ?, ?)"
            " ON CONFLICT (user_id, address) DO UPDATE SET used_at = excluded.used_at",
            user.id,
            network_of(address),
            now,
        )

    def _is_known(self, user: User, address: str) -> bool:
        sql = "SELECT 1 FROM known_addresses WHERE user_id = ? AND address = ?"
        return self._store.row(sql, user.id, network_of(address)) is not None

    def _soon(self, work: Callable[[], None]) -> None:
        try:
            self._aside.submit(work)
        except Busy:
            log.debug("the use of a login is not noted: the disk is slow")

    def _tell(self, who: str, what: str, **arguments: Any) -> None:
        self.audit.accepted(who, what, ", ".join(f"{key}={value!r}" for key, value in arguments.items()), None)
