"""Uploads that end badly or never: nothing is kept, nothing changes, nobody else notices."""

from __future__ import annotations

import ftplib
import io
import socket
import struct
from pathlib import Path

import ftp_camera
import ftp_daemon
import pytest
import waiting
from ftp_daemon import FILE, GOOD, TOO_LARGE, config_text, refused_upload, upload
from small_disk import SmallDisk

HALF = config_text({**GOOD, "_note": "x" * 5000})[:2000]


def cut(client: ftplib.FTP, name: str, data: bytes, *, reset: bool) -> None:
    """Send the beginning of a file, then end the data connection: by a reset, or as if that were all."""
    with client.transfercmd(f"STOR {name}") as connection:
        connection.sendall(data)
        if reset:
            ftp_daemon.reset(connection)


def test_half_a_file_replaces_nothing_however_it_ends(ftpd: ftp_daemon.Ftpd, camera: ftp_camera.FakeCamera) -> None:
    with ftpd.ftp() as client:
        upload(client, FILE, config_text(GOOD))
        ftpd.report_of(1)
        cut(client, FILE, HALF, reset=False)
        with pytest.raises(ftplib.error_perm, match=r"553.*ends too early"):
            client.voidresp()
        cut(client, FILE, HALF, reset=True)
        with pytest.raises(ftplib.error_temp, match="426"):
            client.voidresp()
        assert "connection was cut" in ftpd.report_of(3)["error"]
        cut(client, "other", HALF, reset=True)
        with pytest.raises(ftplib.error_temp, match="426"):
            client.voidresp()
        client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        with client.transfercmd(f"STOR {FILE}") as connection:
            connection.sendall(HALF)
            client.close()  # both connections, at once
    waiting.until(lambda: ftpd.status()["connections"] == 0, 10, "the session to end")
    # The report of the last one is written, under a hidden name first, when the rest of the upload is gone already.
    left = {FILE, f"{FILE}.report", f"{FILE}.default", "test000.jpg"}
    waiting.until(lambda: ftpd.names() == left, 10, "no rest of an upload, and all else")
    assert (ftpd.drop / FILE).read_bytes() == config_text(GOOD)
    assert camera.calls == [GOOD]


@pytest.mark.parametrize("name", [FILE, "other.bin"])
def test_200_mb_are_cut_off(ftpd: ftp_daemon.Ftpd, camera: ftp_camera.FakeCamera, name: str) -> None:
    with ftpd.ftp() as client:
        upload(client, FILE, config_text(GOOD))
        ftpd.report_of(1)
        memory_mb, source = ftpd.vitals.memory_mb(), ftp_daemon.Endless(200_000_000)
        assert refused_upload(client, name, source).startswith("552")
        assert source.left > 100_000_000
    with ftpd.connect() as daemon:
        refusal = daemon.events(None, 0, 0)["events"][-1]["data"]
    assert (refusal["name"], refusal["accepted"]) == (name, False)
    if name == FILE:
        assert TOO_LARGE in refusal["reason"]
        assert TOO_LARGE in ftpd.report_of(2)["error"]
    else:
        assert "other files than mandeye_config.json may fill 32000000 bytes" in refusal["reason"]
        assert ftpd.report_of(1)["outcome"] == "applied"  # that is the configuration's
    waiting.until(lambda: not any(part.startswith(".") for part in ftpd.names()), 10, "no rest of it")
    assert ftpd.vitals.memory_mb() < memory_mb + 10
    with ftpd.ftp() as client:
        assert name == FILE or name not in client.nlst()
        upload(client, FILE, config_text(GOOD))
        with ftpd.connect() as daemon:
            number = daemon.uploads()[-1]["number"]
    assert ftpd.report_of(number)["outcome"] == "applied"
    assert camera.calls == [GOOD, GOOD]


def test_the_quota_holds_for_many_files_at_the_same_time_and_leaves_room_for_photos(
    start, camera: ftp_camera.FakeCamera
) -> None:
    ftpd = start(quota_mb=8, max_files=20)
    clients = [ftpd.ftp() for _ in range(4)]
    connections = [client.transfercmd(f"STOR file{number}") for number, client in enumerate(clients)]
    for _ in range(32):
        for connection in connections:
            try:
                connection.sendall(bytes(50_000))
            except OSError:
                pass  # cut off already
    answers = []
    for client, connection in zip(clients, connections, strict=True):
        connection.close()
        try:
            answers.append(client.voidresp()[:3])
        except ftplib.Error as error:
            answers.append(str(error)[:3])
    assert set(answers) == {"226", "552"}
    status = ftpd.status()
    assert status["other_bytes"] <= 4_000_000 and status["quota_bytes"] == 8_000_000
    for number in range(20):
        try:
            upload(clients[0], f"small{number}", b"x")
        except ftplib.error_perm as error:
            assert "be 10, which they do already" in str(error)
    assert ftpd.status()["other_files"] == 10
    upload(clients[0], FILE, config_text(GOOD))
    assert ftpd.report_of(1)["outcome"] == "applied"
    for client in clients:
        client.close()


def test_uploads_that_are_announced_and_never_come_are_forgotten(ftpd: ftp_daemon.Ftpd, camera: ftp_camera.FakeCamera) -> None:
    files = ftpd.vitals.open_files()
    with ftpd.ftp() as client:
        for number in range(50):
            client.makepasv()
            client.sendcmd(f"STOR file{number}")
        assert len([name for name in ftpd.names() if name.startswith(".upload-")]) <= 1
        assert ftpd.vitals.open_files() <= files + 4
    waiting.until(lambda: not any(name.startswith(".") for name in ftpd.names()), 10, "no rest of them")


def test_a_data_connection_that_is_gone_before_it_is_used(ftpd: ftp_daemon.Ftpd, camera: ftp_camera.FakeCamera) -> None:
    with ftpd.ftp() as client:
        for command in (f"STOR {FILE}", f"RETR {FILE}.default", "NLST"):
            with pytest.raises(ftplib.error_temp, match="425"):
                client.sendcmd(command)
            for _ in range(10):
                host, port = client.makepasv()
                with socket.create_connection((host, port), timeout=5) as connection:
                    client.sock.sendall(f"{command}\r\n".encode())  # it may be read before or after the reset
                    ftp_daemon.reset(connection)
                answers = [client.getmultiline()[:3]]
                if answers[0].startswith("1"):
                    answers.append(client.getmultiline()[:3])
                assert answers[-1] in ("425", "426", "226"), answers
    assert camera.calls == []


def test_two_uploads_in_one_session_at_the_same_time_are_refused(ftpd: ftp_daemon.Ftpd, camera: ftp_camera.FakeCamera) -> None:
    with ftpd.ftp() as client, client.transfercmd("STOR one") as connection:
        connection.sendall(b"1")
        with pytest.raises(ftplib.error_temp, match="450"):
            client.sendcmd("STOR two")
        connection.close()
        assert client.voidresp().startswith("226")
        assert set(client.nlst()) - {f"{FILE}.default"} == {"one"}


def test_what_a_crash_left_is_removed_at_the_start(ftpd: ftp_daemon.Ftpd, camera: ftp_camera.FakeCamera) -> None:
    with ftpd.ftp() as client, client.transfercmd("STOR one") as connection:
        connection.sendall(b"1" * 100_000)
        waiting.until(lambda: any(name.startswith(".upload-") for name in ftpd.names()), 10, "the upload")
        ftpd.kill()
    ftpd.start()
    assert not any(name.startswith(".upload-") for name in ftpd.names())


def test_the_data_connection_of_somebody_else_is_refused(start, camera: ftp_camera.FakeCamera) -> None:
    ftpd = start(machines={"Net": "127.0.0.0/8"}, control_machines=["Net"])
    with ftpd.ftp() as client:
        host, port = client.makepasv()
        with socket.create_connection((host, port), timeout=5, source_address=("127.0.0.9", 0)):
            assert client.file.readline().startswith("425")
        with pytest.raises(ftplib.error_perm, match="501"):
            client.sendport("127.0.0.9", 5000)
        with pytest.raises(ftplib.error_perm, match="501"):
            client.sendport("127.0.0.1", 22)


def test_garbage_on_the_control_connection(ftpd: ftp_daemon.Ftpd, camera: ftp_camera.FakeCamera) -> None:
    for garbage in (
        b"\x00\xff" * 50_000,
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\r\n" * 1000,
        b"USER " + b"x" * 10_000 + b"\r\n",
    ):
        with ftpd.raw() as sock:
            sock.sendall(garbage)
            assert sock.recv(100).startswith(b"220")
    with ftpd.ftp() as client:
        upload(client, FILE, config_text(GOOD))
    assert ftpd.report_of(1)["outcome"] == "applied"


def test_a_full_disk(tmp_path: Path, start, camera: ftp_camera.FakeCamera) -> None:
    mount_point = tmp_path / "disk"
    mount_point.mkdir()
    with SmallDisk(mount_point, 8) as small:
        ftpd = start(folder=str(small.path / "drop"))
        ftpd.drop = small.path / "drop"
        with ftpd.ftp() as client:
            upload(client, FILE, config_text(GOOD))
            ftpd.report_of(1)
            filler = small.fill(leave_bytes=100_000)
            assert "No space left" in refused_upload(client, "other", io.BytesIO(bytes(2_000_000)))
        assert not any(name.startswith(".") for name in ftpd.names())
        small.fill()
        with ftpd.ftp() as client:
            wanted = io.BytesIO(config_text({"AnalogueGain": 9}) + b" " * 100_000)
            assert "No space left" in refused_upload(client, FILE, wanted)
            assert (ftpd.drop / FILE).read_bytes() == config_text(GOOD)
            filler.unlink()
            upload(client, FILE, config_text({"AnalogueGain": 9}))
        waiting.until(lambda: camera.calls[-1] == {"AnalogueGain": 9}, 10, "the upload after the full disk")
        with ftpd.connect() as daemon:
            waiting.until(lambda: daemon.uploads()[-1]["outcome"] == "applied", 10, "its end")
        assert ftpd.terminate() == 0


def test_an_end_while_the_camera_hangs_is_bounded(ftpd: ftp_daemon.Ftpd, camera: ftp_camera.FakeCamera) -> None:
    camera.go.clear()
    with ftpd.ftp() as client:
        upload(client, FILE, config_text(GOOD))
        waiting.until(lambda: ftpd.status()["state"] == "applying", 10, "the camera to be asked")
        assert ftpd.terminate(8) == 0
    camera.go.set()
