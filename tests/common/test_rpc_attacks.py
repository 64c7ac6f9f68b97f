"""Attacks of section 4 of the Pyro5 study on the hardened server, while a good client polls and must notice nothing."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median

import attacks
import fakedaemon
import msgpack
import pytest
import vitals
import waiting
from attacks import Poller, Target
from rawclient import BATCH, CONNECT_FAIL, CONNECT_OK, INVOKE, ONEWAY, RawClient, frame

MACHINES = {"Dome": "127.0.0.1", "Guest": "127.0.0.3"}
DENIED, GUEST = "127.0.0.66", "127.0.0.3"
THREADS_AT_REST = 8  # the main one, the accept loop, four idle ones of the pool, the poller's, and one about to end


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[fakedaemon.Running]:
    """A server which 127.0.0.1 may control, 127.0.0.3 may view, and nobody else may use."""
    with fakedaemon.running(tmp_path, machines=MACHINES, control=["Dome"], view=["Guest"]) as running:
        yield running


def target_of(daemon: fakedaemon.Running, source: str | None = None) -> Target:
    return Target(daemon.host, daemon.port, fakedaemon.OBJECT, source=source)


@contextmanager
def unharmed(daemon: fakedaemon.Running, machine_lag) -> Iterator[None]:
    """The good client notices nothing, nothing is left, and nothing went wrong."""
    with vitals.unharmed(target_of(daemon), daemon.vitals, machine_lag, THREADS_AT_REST):
        yield
    assert not daemon.errors()
    with daemon.client() as client:
        assert client.report_status()["boot_id"] == "boot-1"


@pytest.mark.parametrize("source", ["127.0.0.1", GUEST])
@pytest.mark.parametrize("name", attacks.ALL)
def test_attack(name: str, source: str, daemon: fakedaemon.Running, machine_lag) -> None:
    with unharmed(daemon, machine_lag):
        attacks.ALL[name](target_of(daemon, source))


def test_200_silent_sockets_from_a_denied_address_are_closed_within_100_ms(daemon, machine_lag) -> None:
    with unharmed(daemon, machine_lag):
        lives_s = attacks.seconds_until_closed(target_of(daemon), DENIED, 200)
    lines = [line for line in daemon.audit() if "127.0.0.66" in line["caller"]]
    assert [line["message"] for line in lines] == ["refused"] * 10
    assert lines[0]["code"] == 3
    for _ in range(4):  # this process must keep up too, on a machine that others use
        if max(lives_s) < 0.1 + machine_lag.seconds:
            break
        lives_s = attacks.seconds_until_closed(target_of(daemon), DENIED, 200)
    assert max(lives_s) < 0.1 + machine_lag.seconds


def test_strangers_take_no_threads(daemon) -> None:
    before = daemon.vitals.threads()
    with attacks.silent(target_of(daemon), 150, DENIED):
        assert daemon.vitals.threads() <= before


def test_the_audit_counts_what_it_does_not_write(tmp_path: Path) -> None:
    with fakedaemon.running(tmp_path, machines=MACHINES, control=["Dome"], view=["Guest"]) as daemon:
        attacks.seconds_until_closed(target_of(daemon), DENIED, 50)
    lines = [line for line in daemon.audit() if "127.0.0.66" in line["caller"]]
    assert [line["message"] for line in lines] == [*["refused"] * 10, "refused again"]
    assert lines[-1]["suppressed"] == 40


def test_silent_sockets_from_an_allowed_address_hold_neither_the_good_client_nor_other_addresses(daemon, machine_lag) -> None:
    with unharmed(daemon, machine_lag), attacks.silent(target_of(daemon), 200, GUEST) as sockets:
        began = time.monotonic()
        with daemon.client() as newcomer:
            assert newcomer.report_status()
        assert time.monotonic() - began < 1 + machine_lag.seconds
        for sock in sockets:
            sock.settimeout(20)
            while sock.recv(4096):
                pass
        assert time.monotonic() - began < attacks.HANDSHAKE_S + 1 + machine_lag.seconds


def test_a_full_pool_with_silent_callers_on_top_recovers(tmp_path: Path, machine_lag) -> None:
    machines = {"Dome": "127.0.0.1", "Guests": "127.0.1.0/24"}
    with fakedaemon.running(tmp_path, machines=machines, control=["Dome"]) as daemon, ExitStack() as stack:
        for number in range(4):
            source = f"127.0.1.{number + 1}"
            stack.enter_context(attacks.silent(target_of(daemon), attacks.MOST_PER_ADDRESS, source))
        began = time.monotonic()
        with RawClient(daemon.host, daemon.port, timeout_s=2) as refused:
            assert refused.closed_by_peer()
        assert time.monotonic() - began < 1 + machine_lag.seconds

        def served() -> bool:
            try:
                with target_of(daemon).greeted():
                    return True
            except (OSError, EOFError):
                return False

        waiting.until(served, attacks.HANDSHAKE_S + 1 + machine_lag.seconds, "a free thread")
        assert any("all connections are taken" in line["reason"] for line in daemon.audit() if "reason" in line)


def test_running_out_of_files_neither_stops_nor_spins_the_server(tmp_path: Path, machine_lag) -> None:
    machines = {"Dome": "127.0.0.1", "Guests": "127.0.1.0/24"}
    with fakedaemon.running(tmp_path, machines=machines, control=["Dome"], open_files=64) as daemon:
        with Poller(target_of(daemon)) as poller, ExitStack() as stack:
            for number in range(10):
                client = stack.enter_context(target_of(daemon).client(f"127.0.1.{number + 1}"))
                client.connect(fakedaemon.OBJECT)
            stack.enter_context(attacks.silent(target_of(daemon), 80, "127.0.1.99"))
            waiting.until(lambda: daemon.vitals.open_files() >= 64, 5, "the files to run out")
            busy = []
            for _ in range(3):  # others may slow down one of them
                began, used_s = time.monotonic(), daemon.vitals.cpu_s()
                waiting.until(lambda began=began: time.monotonic() - began > 0.5, 5, "half a second to pass")
                busy.append((daemon.vitals.cpu_s() - used_s) / (time.monotonic() - began))
            assert daemon.vitals.open_files() >= 60
            assert median(busy) < 0.25, busy  # half of it is the good client's
        assert poller.p99_s < vitals.GOOD_P99_S + machine_lag.seconds
        with daemon.client() as client:
            assert waiting.until(client.report_status, 5, "an answer")
        assert [line["message"] for line in daemon.errors()][:1] == [
            "cannot accept connections for now: [Errno 24] Too many open files"
        ]


def test_annotations_that_a_method_sets_before_it_fails_reach_nobody(daemon) -> None:
    with target_of(daemon).greeted() as client:
        for _ in range(20):
            answer = client.invoke(fakedaemon.OBJECT, "odd", ["annotate"])
            assert answer is not None and answer.annotations == {} and answer.code == 1
            answer = client.invoke(fakedaemon.OBJECT, "report_status")
            assert answer is not None and answer.annotations == {}
    for _ in range(20):
        with target_of(daemon).client() as client:
            assert client.connect(fakedaemon.OBJECT).annotations == {}
        with target_of(daemon).client(DENIED) as client:
            assert client.receive().annotations.keys() <= {"ERRN"}


@pytest.mark.parametrize("kind", ["object", "generator", "huge", "keys", "class", "self", "raise", "exit"])
def test_results_that_are_not_plain_become_an_error_without_insides(kind: str, daemon) -> None:
    with target_of(daemon).greeted() as client:
        for flags in (0, BATCH):
            call = ("<batch>", [["odd", [kind], {}]]) if flags else ("odd", [kind])
            answer = client.invoke(fakedaemon.OBJECT, *call, flags=flags)
            assert answer is not None
            assert "Traceback" not in str(answer) and "secret" not in str(answer) and ".py" not in str(answer)
            error = answer.value if answer.code is not None else answer.value[-1]["exception"]
            assert error["attributes"]["code"] == 1
            assert error["args"][0].startswith("internal error in odd, reference ")
        answer = client.invoke(fakedaemon.OBJECT, "report_status")
        assert answer is not None and answer.code is None
    assert any("traceback" in line for line in daemon.errors())


def test_one_way_calls_run_in_the_connections_own_thread(daemon) -> None:
    with target_of(daemon).greeted() as client:
        threads = daemon.vitals.threads()
        payload = msgpack.packb((fakedaemon.OBJECT, "sleep", [0.05], {}))
        began = time.monotonic()
        client.send(frame(INVOKE, payload, flags=ONEWAY) * 20)
        most = 0
        while time.monotonic() - began < 0.5:
            most = max(most, daemon.vitals.threads())
        assert most <= threads
        answer = client.invoke(fakedaemon.OBJECT, "report_status")
        assert answer is not None and answer.code is None
        assert time.monotonic() - began >= 0.9  # behind the 20, not beside them


def test_one_address_cannot_take_all_connections(daemon) -> None:
    with ExitStack() as stack:
        clients = [stack.enter_context(target_of(daemon, GUEST).client()) for _ in range(attacks.MOST_PER_ADDRESS)]
        assert all(client.connect(fakedaemon.OBJECT).type == CONNECT_OK for client in clients)
        with target_of(daemon, GUEST).client() as client:
            assert client.closed_by_peer()
        with target_of(daemon).greeted():
            pass
    waiting.until(lambda: daemon.vitals.threads() < 20, 10, "the threads to end")
    with target_of(daemon, GUEST).greeted():
        pass


def test_a_denied_caller_reads_why_although_it_has_spoken_first(daemon) -> None:
    for _ in range(50):
        with target_of(daemon, DENIED).client() as client:
            answer = client.connect(fakedaemon.OBJECT)
            assert (answer.type, answer.code) == (CONNECT_FAIL, 3)
            assert "127.0.0.66" in answer.value
            assert client.closed_by_peer()


def test_silent_connections_keep_nobody_of_the_same_host_out(daemon) -> None:
    with attacks.silent(target_of(daemon), attacks.MOST_PER_ADDRESS + 20, GUEST):
        for _ in range(5):
            with target_of(daemon, GUEST).greeted() as client:
                answer = client.invoke(fakedaemon.OBJECT, "report_status")
                assert answer is not None and answer.code is None
