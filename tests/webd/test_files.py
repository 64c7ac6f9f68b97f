"""Files of a camera through the API: browsed, downloaded whole and in part, zipped, deleted."""

from __future__ import annotations

import hashlib
import io
import os
import zipfile
from datetime import UTC, datetime

import pytest
import webd

AT = "/api/v1/cameras/cam1"
LARGE = 3 * (1 << 20) + 12345


@pytest.fixture(scope="module")
def names(rig: webd.Rig) -> list[str]:
    """A large file, a small one, an empty one, one of another day, and a shot of three files."""
    folder = rig.cameras["cam1"].output
    contents = {
        "large.dng": os.urandom(LARGE),
        "small.txt": b"0123456789",
        "empty.bin": b"",
        "old.jpg": b"an old picture",
        "shot.jpg": b"a picture",
        "shot.thumb.jpg": b"a small picture",
        "shot.json": b"{}",
        "a_b-c.1.txt": b"another name",
    }
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    os.utime(folder / "old.jpg", (86400 * 365, 86400 * 365))
    return list(contents)


def test_files_are_browsed_by_day(rig: webd.Rig, administrator: webd.Browser, names: list[str]) -> None:
    days = administrator.get(f"{AT}/days").raise_for_status().json()
    made_s = (rig.cameras["cam1"].output / "small.txt").stat().st_mtime  # it may be another day by now
    assert [day["day"] for day in days] == [datetime.fromtimestamp(made_s, UTC).date().isoformat(), "1971-01-01"]
    assert days[1] == {"day": "1971-01-01", "shots": 1, "files": 1, "bytes": 14}
    old = administrator.get(f"{AT}/files", params={"day": "1971-01-01"}).json()
    assert old["total"] == 1 and old["shots"][0]["files"] == [{"name": "old.jpg", "size": 14}]
    everything = administrator.get(f"{AT}/files").json()
    shot = next(shot for shot in everything["shots"] if shot["stem"] == "shot")
    assert (shot["files"], shot["thumbnail"], shot["metadata"]) == (
        [{"name": "shot.jpg", "size": 9}],
        "shot.thumb.jpg",
        "shot.json",
    )
    assert everything["shots"][-1]["stem"] == "old", "the newest first"
    one = administrator.get(f"{AT}/files", params={"skip": 1, "limit": 1}).json()
    assert one["total"] == everything["total"] and one["shots"] == everything["shots"][1:2]


def test_files_are_downloaded(rig: webd.Rig, administrator: webd.Browser, names: list[str]) -> None:
    folder = rig.cameras["cam1"].output
    for name in names:
        answer = administrator.get(f"{AT}/files/{name}")
        assert answer.status_code == 200, name
        assert answer.content == (folder / name).read_bytes()
        assert int(answer.headers["content-length"]) == len(answer.content)
    jpeg = administrator.get(f"{AT}/files/shot.jpg")
    assert jpeg.headers["content-type"] == "image/jpeg" and jpeg.headers["content-disposition"].startswith("inline")
    assert administrator.get(f"{AT}/files/shot.jpg?save=1").headers["content-disposition"].startswith("attachment")
    text = administrator.get(f"{AT}/files/small.txt")
    assert text.headers["content-type"] == "application/octet-stream" and "attachment" in text.headers["content-disposition"]
    head = administrator.head(f"{AT}/files/large.dng")
    assert (head.status_code, int(head.headers["content-length"]), head.content) == (200, LARGE, b"")
    assert head.headers["accept-ranges"] == "bytes"


@pytest.mark.parametrize(
    ("asked", "status", "expected"),
    [
        ("bytes=2-4", 206, b"234"),
        ("bytes=7-", 206, b"789"),
        ("bytes=-3", 206, b"789"),
        ("bytes=-99", 206, b"0123456789"),
        ("bytes=0-99", 206, b"0123456789"),
        ("bytes=4-2", 200, b"0123456789"),
        ("bytes=0-1,3-4", 200, b"0123456789"),
        ("lines=1-2", 200, b"0123456789"),
        ("bytes=-", 200, b"0123456789"),
    ],
)
def test_a_part_of_a_file(
    rig: webd.Rig, administrator: webd.Browser, names: list[str], asked: str, status: int, expected: bytes
) -> None:
    answer = administrator.get(f"{AT}/files/small.txt", headers={"range": asked})
    assert (answer.status_code, answer.content) == (status, expected)
    if status == 206:
        first = 10 - len(expected) if asked.startswith("bytes=-") else int(asked[6:].partition("-")[0])
        assert answer.headers["content-range"] == f"bytes {first}-{first + len(expected) - 1}/10"


def test_a_part_that_is_not_there_is_a_problem(rig: webd.Rig, administrator: webd.Browser, names: list[str]) -> None:
    answer = administrator.get(f"{AT}/files/small.txt", headers={"range": "bytes=10-"})
    assert (answer.status_code, answer.headers["content-range"]) == (416, "bytes */10")
    assert answer.headers["content-type"] == "application/problem+json" and answer.json()["status"] == 416


def test_a_part_of_a_large_file(rig: webd.Rig, administrator: webd.Browser, names: list[str]) -> None:
    content = (rig.cameras["cam1"].output / "large.dng").read_bytes()
    for first, last in ((0, 0), (1 << 20, LARGE - 1), ((1 << 20) - 1, 2 << 20), (LARGE - 5, LARGE + 100)):
        answer = administrator.get(f"{AT}/files/large.dng", headers={"range": f"bytes={first}-{last}"})
        assert answer.status_code == 206 and answer.content == content[first : last + 1]
    changed = administrator.get(f"{AT}/files/large.dng", headers={"range": "bytes=5-9", "if-range": '"x"'})
    assert changed.status_code == 200 and len(changed.content) == LARGE


def test_a_zip_is_whole_and_made_while_it_is_sent(rig: webd.Rig, administrator: webd.Browser, names: list[str]) -> None:
    folder = rig.cameras["cam1"].output
    answer = administrator.get(f"{AT}/zip", params={"file": names}).raise_for_status()
    assert "content-length" not in answer.headers
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == names
        for name in names:
            assert hashlib.sha256(archive.read(name)).digest() == hashlib.sha256((folder / name).read_bytes()).digest()
        assert archive.getinfo("old.jpg").date_time[0] == 1980
    of_shots = administrator.get(
        f"{AT}/zip", params={"shot": ["shot", "old", "shot"], "file": ["shot.json"]}
    ).raise_for_status()
    with zipfile.ZipFile(io.BytesIO(of_shots.content)) as archive:
        assert sorted(archive.namelist()) == ["old.jpg", "shot.jpg", "shot.json", "shot.thumb.jpg"]
    assert administrator.get(f"{AT}/zip", params={"shot": ["shot", "none"]}).status_code == 404
    of_day = administrator.get(f"{AT}/zip", params={"day": "1971-01-01"})
    with zipfile.ZipFile(io.BytesIO(of_day.content)) as archive:
        assert archive.namelist() == ["old.jpg"]
    for parameters in ({}, {"day": "1900-01-01"}, {"day": "yesterday"}):
        assert administrator.get(f"{AT}/zip", params=parameters).status_code == 422
    assert administrator.get(f"{AT}/zip", params={"file": ["small.txt", "none"]}).status_code == 404


def test_no_name_leads_out_of_the_folder(rig: webd.Rig, administrator: webd.Browser, names: list[str]) -> None:
    folder = rig.cameras["cam1"].output
    secret = folder.parent / "secret.txt"
    secret.write_text("secret")
    (folder / "link.jpg").symlink_to(secret)
    for name in (
        "../secret.txt",
        "..%2fsecret.txt",
        "..%252fsecret.txt",
        "%2e%2e/secret.txt",
        "%2e%2e%2fsecret.txt",
        "..\\secret.txt",
        "..%5csecret.txt",
        str(secret).replace("/", "%2f"),
        str(secret),
        "link.jpg",
        "%2e",
        "%2e%2e",
        "%00",
        "small.txt%00.jpg",
        ".hidden",
        "%ff%fe",
        "x" * 200,
    ):
        for answer in (
            administrator.get(f"{AT}/files/{name}"),
            administrator.get(f"{AT}/zip?file={name}"),
            administrator.post(f"{AT}/files/delete", json={"names": [name]}),
        ):
            assert answer.status_code in (404, 422), (name, answer.status_code)
            assert "secret" not in answer.text.replace("secret.txt", "")
    assert secret.read_text() == "secret"
    (folder / "link.jpg").unlink()


def test_files_are_deleted_with_what_belongs_to_them(rig: webd.Rig, administrator: webd.Browser) -> None:
    job = administrator.post(f"{AT}/photo", json={}).raise_for_status().json()
    result = administrator.get(f"{AT}/jobs/{job['id']}?wait_s=10").json()["result"]
    folder = rig.cameras["cam1"].output
    stem = result["name"].partition(".")[0]
    assert len(list(folder.glob(f"{stem}.*"))) > 1
    deleted = administrator.post(f"{AT}/files/delete", json={"names": [result["name"]]}).raise_for_status().json()
    assert result["name"] in deleted["deleted"] and not list(folder.glob(f"{stem}.*"))
    assert administrator.get(f"{AT}/files/{result['name']}").status_code == 404
