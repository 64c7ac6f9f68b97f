"""`observatory web reset-admin`: a lost administrator's password, on the host itself."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import webd

from observatory_common.errors import CommandStatus
from observatory_webd.accounts import reset as resetting

COMMAND = [sys.executable, "-m", "observatory_cli.observatory", "web"]


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webd.Webd]:
    """A webd that runs, with its administrator."""
    with webd.alone(tmp_path_factory.mktemp("web")) as running:
        yield running


def run(web: webd.Webd, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *arguments], env={**web.env, **env}, capture_output=True, text=True, timeout=60, check=False
    )


def log_in_with(web: webd.Webd, user: str, password: str) -> None:
    """Log in with a password that was reset, and choose another."""
    with web.browser() as browser:
        browser.log_in(user, password)
        told = browser.get("/api/v1/session").json()
        assert (told["user"], told["role"], told["must_change_password"]) == (user, "administrator", True)
        browser.remember(browser.post("/api/v1/password", json={"present": password, "new": webd.PASSWORD}))
        assert browser.get("/api/v1/users").status_code == 200


def test_the_first_administrator_gets_a_new_password_while_webd_runs(web: webd.Webd) -> None:
    with web.administrator() as before:
        done = run(web, "reset-admin")
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.startswith(f"{webd.ADMINISTRATOR} has the password ")
        assert before.get("/api/v1/session").status_code == 401
    log_in_with(web, webd.ADMINISTRATOR, done.stdout.split(" has the password ")[1].split()[0])


def test_another_user_becomes_administrator_or_is_made(web: webd.Webd) -> None:
    web.user("vera", "viewer").close()
    for name in ("vera", "made.now"):
        done = run(web, "reset-admin", "--config", str(web.config_path), "--user", name, "--json")
        told = json.loads(done.stdout)
        assert (done.returncode, done.stderr, told["user"]) == (0, "", name)
        log_in_with(web, name, told["password"])


def test_what_cannot_be_done_is_said(web: webd.Webd, tmp_path: Path) -> None:
    none = run(web, "reset-admin", WEBD_CONFIG_PATH=str(tmp_path))
    assert none.returncode == CommandStatus.InvalidConfig and "holds none" in none.stderr
    never = web.config_path.with_name("never.json")
    never.write_text(web.config_path.read_text())
    two = run(web, "reset-admin")
    assert two.returncode == CommandStatus.InvalidConfig and "never.json, test.json" in two.stderr
    done = run(web, "reset-admin", "--config", str(never))
    assert done.returncode == CommandStatus.InvalidArgument
    assert "webd has never run with" in done.stderr and "Traceback" not in done.stderr
    never.write_text("{}")
    wrong = run(web, "reset-admin", "--config", str(never), "--json")
    assert wrong.returncode == CommandStatus.InvalidConfig
    assert f"{never}:1" in wrong.stderr and json.loads(wrong.stdout)["code"] == CommandStatus.InvalidConfig
    never.unlink()
    named = run(web, "reset-admin", "--user", "two words")
    assert named.returncode == CommandStatus.InvalidArgument and "'two words' cannot be used" in named.stderr
    assert run(web, "reset-admin", "x").returncode == run(web, "nonsense").returncode == 64


def test_help(web: webd.Webd) -> None:
    assert "reset-admin" in run(web, "--help").stdout
    for option in ("--config", "--user", "--json"):
        assert option in run(web, "reset-admin", "--help").stdout


def test_of_an_installed_webd_it_is_the_store_that_systemd_gives(
    web: webd.Webd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No shell has the environment of the service, so its folder is known."""
    for name in ("OBSERVATORY_ETC", "XDG_STATE_HOME", "HOME"):
        monkeypatch.setenv(name, web.env[name])
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    monkeypatch.setattr(resetting, "_SYSTEM_CONFIGS", web.config_path.parent)
    monkeypatch.setattr(resetting, "_SYSTEM_STATE", tmp_path)
    user, password = resetting.reset(web.config_path)  # not installed: where it has run
    log_in_with(web, user, password)
    (tmp_path / "test").mkdir()
    with pytest.raises(ValueError, match=f"there is no {tmp_path / 'test'}"):
        resetting.reset(web.config_path)
    (tmp_path / "test").rmdir()
    (tmp_path / "test").symlink_to(web.state_folder)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "elsewhere"))
    user, password = resetting.reset(web.config_path)
    log_in_with(web, user, password)
