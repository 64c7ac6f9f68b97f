"""Users, logins and tokens in a store, without a server: what happens at the same moment; the disk and the clock."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from observatory_common import config as configs
from observatory_common.audit import Audit
from observatory_common.directory import Directory
from observatory_common.errors import InvalidArgument, NoRoom
from observatory_webd import config
from observatory_webd.accounts import passwords, reset
from observatory_webd.accounts.accounts import Accounts
from observatory_webd.accounts.identity import Identity, Role, User
from observatory_webd.accounts.limits import Guesses
from observatory_webd.errors import NotLoggedIn, TooManyTries
from observatory_webd.lanes import Busy
from observatory_webd.store.database import Store

HERE, OTHER = "192.0.2.1", "2001:db8::1"
RIGHT, ANOTHER = "a long password", "quite another one"


@pytest.fixture
def config_file(tmp_path: Path) -> Path:
    """The config of a webd."""
    file = tmp_path / "web.json"
    least = {"daemon": "localhost_test", "log_name": "webd@test", "control_machines": ["LocalHost"]}
    file.write_text(json.dumps({**least, "state_path": str(tmp_path / "state")}))
    return file


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """A store alone."""
    (tmp_path / "state").mkdir()
    found = Store(tmp_path / "state" / "webd.sqlite")
    found.open()
    yield found
    found.close()


@pytest.fixture
def accounts(config_file: Path, store: Store, monkeypatch: pytest.MonkeyPatch) -> Iterator[Accounts]:
    """Users, of whom there is none yet; their passwords are checked in no time."""
    monkeypatch.setattr("observatory_webd.accounts.accounts.Passwords", QuickPasswords)
    directory = Directory({}, {})
    parsed = config.parse(configs.load(config_file, config.SCHEMA, directory), directory)
    found = Accounts(parsed, store, Audit(), config_file.with_name("first"), "http://localhost")
    yield found
    found.close(10)


class QuickPasswords(passwords.Passwords):
    """Hashes that are none. A check calls `meanwhile`, waits for `gate`, and then raises what `failure` says."""

    def __init__(self) -> None:
        super().__init__()
        self.meanwhile: Callable[[], Any] = lambda: None
        self.gate: asyncio.Event | None = None
        self.failure: Exception | None = None
        self.checked = 0

    async def hash(self, password: str) -> str:
        return hashed(password)

    async def fits(self, hashed_one: str | None, password: str) -> bool:
        self.checked += 1
        self.meanwhile()
        if self.gate is not None:
            await self.gate.wait()
        if self.failure is not None:
            raise self.failure
        return hashed_one == hashed(password)


def hashed(password: str) -> str:
    return f"hash of {password}"


def quick(accounts: Accounts) -> QuickPasswords:
    found = accounts._passwords
    assert isinstance(found, QuickPasswords)
    return found


def add(accounts: Accounts, name: str, role: Role = Role.viewer) -> User:
    return accounts.users.add(name, role, hashed(RIGHT), False)


def counts(store: Store) -> tuple[int, ...]:
    """How many logins, tokens, and addresses there are."""
    tables = ("sessions", "tokens", "known_addresses")
    return tuple(store.rows(f"SELECT count(*) AS number FROM {table}")[0]["number"] for table in tables)


async def waited_for(work: Awaitable[Any]) -> Any:
    return await work


async def tried(work: Awaitable[Any]) -> Any:
    """What it answers, or the kind of its error."""
    try:
        return await work
    except (NotLoggedIn, TooManyTries, Busy) as error:
        return type(error)


# what changes while a password is checked


def change_password(accounts: Accounts, user: User) -> None:
    accounts.users.set_password(user, hashed(ANOTHER), False)


def remove(accounts: Accounts, user: User) -> None:
    accounts.users.add("zoe", Role.administrator, hashed(RIGHT), False)
    accounts.users.remove(user.name)


@pytest.mark.parametrize("change", [change_password, remove])
@pytest.mark.parametrize("way", ["page", "script", "change of password"])
def test_a_login_under_way_ends_with_the_password_it_was_for(
    accounts: Accounts, store: Store, way: str, change: Callable[[Accounts, User], None]
) -> None:
    anna = add(accounts, "anna")
    identity = Identity(anna.id, "anna", Role.viewer, HERE)
    work: Callable[[], Awaitable[Any]] = {
        "page": lambda: accounts.log_in("anna", RIGHT, HERE, None),
        "script": lambda: accounts.log_in_script("anna", RIGHT, HERE),
        "change of password": lambda: accounts.change_password(identity, RIGHT, "a third password"),
    }[way]
    quick(accounts).meanwhile = lambda: change(accounts, anna)
    with pytest.raises(NotLoggedIn, match="wrong name or password"):
        asyncio.run(waited_for(work()))
    found = accounts.users.find("anna")
    assert found is None if change is remove else found is not None and found[1] == hashed(ANOTHER)
    assert counts(store) == (0, 0, 0)


def test_a_token_is_made_for_a_login_that_lasts_alone(accounts: Accounts, store: Store) -> None:
    anna = add(accounts, "anna")
    session = accounts.sessions.open(anna.id, HERE)[1]
    identity = Identity(anna.id, "anna", Role.viewer, HERE, session=session.hash)
    asyncio.run(accounts.add_token(identity, "script", Role.viewer, None))
    accounts.sessions.close(session.hash)
    with pytest.raises(NotLoggedIn, match="not logged in any longer"):
        asyncio.run(accounts.add_token(identity, "another", Role.viewer, None))
    store.write("DELETE FROM users")
    with pytest.raises(NotLoggedIn, match="not logged in any longer"):
        asyncio.run(accounts.add_token(identity, "another", Role.viewer, None))
    assert counts(store) == (0, 0, 0)


# guessing


def test_right_passwords_at_the_same_time_are_all_right(accounts: Accounts) -> None:
    add(accounts, "anna")

    async def log_in() -> list[Any]:
        gate = quick(accounts).gate = asyncio.Event()
        tasks = [asyncio.create_task(tried(accounts.log_in_script("anna", RIGHT, HERE))) for _ in range(30)]
        while quick(accounts).checked < 5:
            await asyncio.sleep(0)
        gate.set()
        return await asyncio.gather(*tasks)

    assert all(isinstance(answer, tuple) for answer in asyncio.run(log_in()))


def test_wrong_passwords_at_the_same_time_are_five(accounts: Accounts) -> None:
    add(accounts, "anna")

    async def guess() -> list[Any]:
        gate = quick(accounts).gate = asyncio.Event()
        tasks = [asyncio.create_task(tried(accounts.log_in("anna", f"wrong {n}", HERE, None))) for n in range(30)]
        while quick(accounts).checked < 5:
            await asyncio.sleep(0)
        gate.set()
        return [*await asyncio.gather(*tasks), await tried(accounts.log_in("anna", RIGHT, HERE, None))]

    assert asyncio.run(guess()) == [NotLoggedIn] * 5 + [TooManyTries] * 26
    assert quick(accounts).checked == 5


def test_a_check_that_was_not_made_does_not_count(accounts: Accounts) -> None:
    add(accounts, "anna")
    quick(accounts).failure = Busy("passwords has 18 calls to answer already")
    for _ in range(12):
        with pytest.raises(Busy):
            asyncio.run(accounts.log_in("anna", RIGHT, HERE, None))
    quick(accounts).failure = None
    assert asyncio.run(accounts.log_in("anna", RIGHT, HERE, None))[2].name == "anna"


def test_who_waits_for_the_tries_of_others_does_so_for_a_while_and_may_leave(monkeypatch: pytest.MonkeyPatch) -> None:
    async def check() -> None:
        guesses, gate = Guesses(), asyncio.Event()

        async def fits() -> bool:
            await gate.wait()
            return True

        under_way = [asyncio.create_task(guesses.attempt(HERE, "anna", fits)) for _ in range(5)]
        await asyncio.sleep(0)
        waiting = asyncio.create_task(guesses.attempt(HERE, "anna", fits))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        monkeypatch.setattr("observatory_webd.accounts.limits._WAITS_S", 0.01)
        with pytest.raises(Busy, match="too many logins"):
            await guesses.attempt(HERE, "anna", fits)
        last = asyncio.create_task(guesses.attempt(HERE, "anna", fits))
        await asyncio.sleep(0)
        under_way[0].cancel()
        await asyncio.gather(under_way[0], return_exceptions=True)
        last.cancel()  # in the moment at which it may begin
        await asyncio.gather(last, return_exceptions=True)
        gate.set()
        assert await asyncio.gather(*under_way[1:]) == [True] * 4
        assert await guesses.attempt(HERE, "anna", fits)
        for tries in (guesses._by_address, guesses._by_user):
            assert not tries._under_way and not tries._waiting

    asyncio.run(check())


def test_a_user_is_known_in_the_whole_network_of_an_address(accounts: Accounts) -> None:
    add(accounts, "anna")
    asyncio.run(accounts.log_in("anna", RIGHT, OTHER, None))

    async def guess() -> None:
        for n in range(10):
            assert await tried(accounts.log_in("anna", "wrong", f"198.51.100.{n}", None)) is NotLoggedIn
        assert await tried(accounts.log_in("anna", RIGHT, "2001:db8:0:1::1", None)) is TooManyTries
        assert (await accounts.log_in("anna", RIGHT, "2001:db8::abcd:1", None))[2].name == "anna"

    asyncio.run(guess())


# what is kept


def test_the_newest_logins_stay_whatever_the_clock_says(accounts: Accounts, monkeypatch: pytest.MonkeyPatch) -> None:
    anna, now = add(accounts, "anna"), time.time()
    kept = [accounts.sessions.open(anna.id, HERE)[1] for _ in range(20)]
    monkeypatch.setattr("observatory_webd.accounts.sessions.time.time", lambda: now - 30)
    last = accounts.sessions.open(anna.id, HERE)[1]
    assert [accounts.sessions.find(one.hash) is not None for one in (kept[0], kept[1], kept[-1], last)] == [
        False, True, True, True,
    ]  # fmt: skip


def test_own_tokens_leave_the_logins_of_scripts_their_room(accounts: Accounts, store: Store) -> None:
    anna = add(accounts, "anna")
    for n in range(50):
        accounts.tokens.add(anna, f"own {n}", Role.viewer, None)
        accounts.script_logins.open(anna)
    with pytest.raises(InvalidArgument, match="50 tokens already"):
        accounts.tokens.add(anna, "one more", Role.viewer, None)
    assert counts(store)[1] == 70


def test_the_use_of_a_login_is_written_rarely(accounts: Accounts, store: Store) -> None:
    anna = add(accounts, "anna")
    session = accounts.sessions.open(anna.id, HERE)[1]
    token = accounts.tokens.add(anna, "script", Role.viewer, None)[1]
    assert not accounts.sessions.needs_touch(session) and accounts.tokens.needs_touch(token)
    accounts.sessions.touch(session)
    accounts.tokens.touch(token)
    log = store.path.with_name(store.path.name + "-wal")
    size = log.stat().st_size
    for _ in range(10):  # of requests that came at the same time
        accounts.sessions.touch(session)
        accounts.tokens.touch(token)
    assert log.stat().st_size == size, "what is not written needs not be synced"


def test_what_is_written_is_on_the_disk(store: Store) -> None:
    with store.transaction() as connection:
        assert connection.execute("PRAGMA synchronous").fetchone()[0] == 2, "FULL"


def test_a_transaction_within_another_counts_with_it(store: Store) -> None:
    insert = "INSERT INTO settings (name, value) VALUES (?, '1')"

    def both(fails: bool) -> None:
        with store.transaction():
            store.write(insert, "a")
            with store.transaction() as connection:
                connection.execute(insert, ("a" if fails else "b",))
            assert store.rows("SELECT * FROM settings") == [], "nobody else sees it yet"

    with pytest.raises(sqlite3.IntegrityError):
        both(True)
    assert store.rows("SELECT * FROM settings") == []
    both(False)
    assert len(store.rows("SELECT * FROM settings")) == 2
    thread = threading.Thread(target=lambda: store.write("DELETE FROM settings"))
    with store.transaction():
        thread.start()
        store.write(insert, "c")
    thread.join(10)
    assert store.rows("SELECT * FROM settings") == [], "another thread waited"


def test_a_full_disk_is_told_as_one(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    def limit(pages: int) -> None:
        with store.transaction() as connection:
            connection.execute(f"PRAGMA max_page_count = {pages}")

    insert = "INSERT INTO settings (name, value) VALUES (?, ?)"
    store.write(insert, "a", "1")
    limit(1)  # it cannot be smaller than it is
    for _ in range(3):
        with pytest.raises(NoRoom, match="is full"):
            store.write(insert, "b", "x" * 2_000_000)
        assert store.failure is not None and "is full" in store.failure
    assert caplog.text.count("is full") == 1, "told once"
    assert len(store.rows("SELECT * FROM settings")) == 1
    limit(1000)
    store.write(insert, "b", "x" * 2_000_000)
    assert store.failure is None and len(store.rows("SELECT * FROM settings")) == 2


# on the host


def test_the_first_administrators_password_is_reset(
    accounts: Accounts, config_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Directory, "load", classmethod(lambda _: Directory({}, {})))
    add(accounts, "vera")
    add(accounts, "anna", Role.administrator)
    add(accounts, "aaron", Role.administrator)
    assert reset.reset(config_file)[0] == "anna"
    with pytest.raises(InvalidArgument, match="the user name ''"):
        reset.reset(config_file, "")
    assert accounts.users.count() == 3


def test_the_first_link_goes_when_somebody_is_made_on_the_host(accounts: Accounts, config_file: Path) -> None:
    accounts.first.prepare()
    accounts.first.refresh()
    assert accounts.first.wanted and accounts.first.file.exists()
    add(accounts, "zoe", Role.administrator)
    accounts.first.refresh()
    assert not accounts.first.wanted and not accounts.first.file.exists()
