"""A camera's files: browsed by day, looked at, downloaded one by one or as a zip, deleted with what belongs to them."""

# Annotations are no strings here: FastAPI resolves them.

import re
from datetime import UTC, date, datetime
from functools import partial
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Header, Path, Query, Request
from starlette.responses import JSONResponse, Response

from observatory_common.errors import CommandFailed, InvalidArgument
from observatory_webd.accounts.dependencies import services_of
from observatory_webd.accounts.identity import Identity
from observatory_webd.api.daemons import Name, Operator, Viewer
from observatory_webd.api.models import FileNames
from observatory_webd.api.problems import problem
from observatory_webd.api.reading import FilesResponse, Reader
from observatory_webd.errors import NotThere
from observatory_webd.links.link import Link

router = APIRouter(prefix="/api/v1/cameras", tags=["files"])
_File = Annotated[str, Path(max_length=200)]
_Day = Annotated[date | None, Query(description="UTC; without it all days")]
_Chosen = Annotated[list[Annotated[str, Query(max_length=200)]] | None, Query(max_length=2000)]
_MOST_ZIPPED = 50_000
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")
_THUMBNAIL, _METADATA = ".thumb.jpg", ".json"
#: What a browser may show; everything else is only saved.
_SHOWN = {"jpg": "image/jpeg", "png": "image/png", "bmp": "image/bmp", "mp4": "video/mp4", "json": "application/json"}
_SAVED = {"tiff": "image/tiff", "fits": "image/fits", "dng": "image/x-adobe-dng", "h264": "video/h264"}
_BYTES: dict[int | str, dict[str, Any]] = {
    200: {"content": {"application/octet-stream": {}}, "description": "the file"},
    206: {"content": {"application/octet-stream": {}}, "description": "the part that was asked for"},
}
_ZIP: dict[int | str, dict[str, Any]] = {200: {"content": {"application/zip": {}}, "description": "the files"}}


def _link(request: Request, name: str) -> Link:
    return services_of(request).links.camera(name)


@router.get("/{name}/days")
async def days(name: Name, request: Request, identity: Viewer) -> list[dict[str, Any]]:
    """The days (UTC) on which there are files, the newest first: day, shots, files, bytes."""
    found: list[dict[str, Any]] = await _link(request, name).call("files", then=_days)
    return found


@router.get("/{name}/files")
async def files(
    name: Name,
    request: Request,
    identity: Viewer,
    day: _Day = None,
    skip: Annotated[int, Query(ge=0, le=10**9)] = 0,
    limit: Annotated[int, Query(ge=1, le=1000)] = 200,
) -> Response:
    """The shots, the newest first: `total`, and of each `stem`, `date`, `day`, `files`, `metadata`, `thumbnail`, `bytes`."""
    shots = await _link(request, name).call("files", then=partial(_shots, day=day))
    return JSONResponse({"total": len(shots), "shots": shots[skip : skip + limit]})


@router.get("/{name}/files/{file}", response_class=Response, responses=_BYTES)
async def download(
    name: Name,
    file: _File,
    request: Request,
    identity: Viewer,
    save: bool = False,
    range: Annotated[str | None, Header(max_length=100)] = None,
) -> Response:
    """A file, or a part of it (header Range, one range of bytes); `save` has a browser save it instead of showing it."""
    return await _download(request, identity, name, file, save, range)


@router.head("/{name}/files/{file}", include_in_schema=False)
async def download_head(name: Name, file: _File, request: Request, identity: Viewer, save: bool = False) -> Response:
    """The headers of a download."""
    return await _download(request, identity, name, file, save, None)


@router.get("/{name}/zip", response_class=Response, responses=_ZIP)
async def download_zip(
    name: Name,
    request: Request,
    identity: Viewer,
    file: _Chosen = None,
    shot: _Chosen = None,
    day: _Day = None,
) -> Response:
    """The named files, or all files of the shots whose stems are named, or all of a day, as a zip made while it is sent."""
    link = _link(request, name)
    entries = await link.call("files", then=partial(_entries, name, file, shot, day))
    title = f"{name}-{day.isoformat()}.zip" if day is not None else f"{name}-{len(entries)}-files.zip"
    body = _reader(request, link, identity).zipped(entries)
    return FilesResponse(body, media_type="application/zip", headers=_disposition(title, save=True))


@router.post("/{name}/files/delete")
async def delete(name: Name, body: FileNames, request: Request, identity: Operator) -> Any:
    """Delete files, and what belongs to each shot of which nothing else is left: metadata and thumbnail."""
    return await _link(request, name).call("delete_files", body.names, user=identity)


def _reader(request: Request, link: Link, identity: Identity) -> Reader:
    """Which reads on as long as the login or token holds."""
    accounts = services_of(request).accounts
    return Reader(link, lambda: accounts.is_valid(identity))


async def _download(request: Request, identity: Identity, name: str, file: str, save: bool, range: str | None) -> Response:
    link = _link(request, name)
    try:
        start, end = _asked(range if "if-range" not in request.headers else None)
        first = await link.call("read_file", file, start or 0)
    except InvalidArgument:
        raise NotThere(f"{name} has no file {file!r}", value=file) from None
    size: int = first["size"]
    if start is None and end is not None:  # the last `end` bytes
        start, end = max(size - end, 0), None
        first = await link.call("read_file", file, start)
    last = size - 1 if end is None else min(end, size - 1)
    headers = {"accept-ranges": "bytes", "cache-control": "private, no-cache", **_disposition(file, save=save)}
    if start is None:
        start, status = 0, 200
    elif start > last:
        detail = f"{file} has {size} bytes, none from {start} on"
        return problem(
            416, detail, headers={"content-range": f"bytes */{size}"}, more={"value": start, "allowed": f"less than {size}"}
        )
    else:
        status = 206
        headers["content-range"] = f"bytes {start}-{last}/{size}"
    headers["content-length"] = str(last - start + 1)
    ending = file.rpartition(".")[2].lower()
    media_type = _SHOWN.get(ending) or _SAVED.get(ending, "application/octet-stream")
    if request.method == "HEAD":
        return Response(status_code=status, headers=headers, media_type=media_type)
    body = _reader(request, link, identity).pieces(file, start, last - start + 1, first)
    return FilesResponse(body, status, headers, media_type)


def _asked(range: str | None) -> tuple[int | None, int | None]:
    """First and last byte of a Range header; (None, n) are the last n; what is no single range of bytes is ignored."""
    found = None if range is None else _RANGE.fullmatch(range.replace(" ", ""))
    if found is None or not (found[1] or found[2]):
        return None, None
    start, end = (int(text) if text else None for text in found.groups())
    if start is not None and end is not None and end < start:
        return None, None
    return start, end


def _disposition(file: str, *, save: bool) -> dict[str, str]:
    shown = file.rpartition(".")[2].lower() in _SHOWN and not save
    return {"content-disposition": f"{'inline' if shown else 'attachment'}; filename*=UTF-8''{quote(file, safe='')}"}


def _chosen(camera: str, known: dict[str, list[dict[str, Any]]], names: list[str] | None) -> list[dict[str, Any]]:
    """The files known under these names. Raises NotThere."""
    missing = next((name for name in names or () if name not in known), None)
    if missing is not None:
        raise NotThere(f"{camera} has no file {missing[:200]!r}", value=missing[:200])
    return [one for name in dict.fromkeys(names or ()) for one in known[name]]


def _stem(name: str) -> str:
    """What the names of a shot's files have in common."""
    return name.removesuffix(_THUMBNAIL) if name.endswith(_THUMBNAIL) else name.rpartition(".")[0] or name


def _by_stem(files: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for one in files:
        found.setdefault(_stem(one["name"]), []).append(one)
    return found


# A folder has tens of thousands of files: what goes through all of them is done in the thread of the call.


def _entries(
    camera: str, file: list[str] | None, shot: list[str] | None, day: date | None, files: list[dict[str, Any]]
) -> list[tuple[str, datetime]]:
    """What a zip is to contain: name and date of each file. Raises NotThere, InvalidArgument."""
    if file is not None or shot is not None:
        chosen = [*_chosen(camera, {one["name"]: [one] for one in files}, file), *_chosen(camera, _by_stem(files), shot)]
        wanted = list({one["name"]: one for one in chosen}.values())
    elif day is not None:
        of_day = {one["stem"] for one in _shots(files, day)}
        wanted = [one for one in files if _stem(one["name"]) in of_day]
    else:
        allowed = "file=NAME or shot=STEM, as often as needed, or day=YYYY-MM-DD"
        raise InvalidArgument("neither files nor a day is named", allowed=allowed)
    if not 1 <= len(wanted) <= _MOST_ZIPPED:
        raise InvalidArgument(
            f"a zip of {len(wanted)} files is not made", value=len(wanted), allowed=f"1 to {_MOST_ZIPPED} files"
        )
    return [(one["name"], _moment(one)) for one in wanted]


def _days(files: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What there is of each day, the newest first."""
    found: dict[str, dict[str, Any]] = {}
    for shot in _shots(files):
        day = found.setdefault(shot["day"], {"day": shot["day"], "shots": 0, "files": 0, "bytes": 0})
        day["shots"] += 1
        day["files"] += len(shot["files"])
        day["bytes"] += shot["bytes"]
    return [found[day] for day in sorted(found, reverse=True)]


def _shots(files: list[dict[str, Any]], day: date | None = None) -> list[dict[str, Any]]:
    """Files that belong together, of a day (None: of all), the newest first."""
    found: dict[str, dict[str, Any]] = {}
    for one in files:
        name, stem = one["name"], _stem(one["name"])
        shot = found.setdefault(
            stem, {"stem": stem, "modified_s": 0.0, "files": [], "metadata": None, "thumbnail": None, "bytes": 0}
        )
        if name.endswith(_THUMBNAIL):
            shot["thumbnail"] = name
        elif name.endswith(_METADATA):
            shot["metadata"] = name
        else:
            shot["files"].append({"name": name, "size": one["size"]})
        shot["bytes"] += one["size"]
        shot["modified_s"] = max(shot["modified_s"], one["modified_s"])
    for shot in found.values():
        moment = _moment(shot)
        shot["date"], shot["day"] = moment.isoformat(timespec="seconds").replace("+00:00", "Z"), moment.date().isoformat()
    wanted = [shot for shot in found.values() if day is None or shot["day"] == day.isoformat()]
    return sorted(wanted, key=lambda shot: (shot["modified_s"], shot["stem"]), reverse=True)


def _moment(file: dict[str, Any]) -> datetime:
    try:
        return datetime.fromtimestamp(file["modified_s"], UTC)
    except (ValueError, OverflowError, OSError) as error:
        raise CommandFailed(f"a file has an impossible date: {error}", value=file["modified_s"]) from None
