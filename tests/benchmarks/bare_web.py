"""The plainest web server, that webd's pages are measured against: FastAPI and uvicorn, recorded files, the camera's pictures.

`bare_web.py FILES [ETC]`: FILES is JSON, path -> [media type, body in base64]. With ETC, a site with one camera, `/live.mjpg`
is MJPEG: each client has a thread that asks camerad for the next picture, and gets it as soon as it is there. Prints its port.
"""

from __future__ import annotations

import base64
import json
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import uvicorn
from fastapi import FastAPI
from starlette.responses import HTMLResponse, Response, StreamingResponse

PICTURES = "/live.mjpg"
PAGE = "/picture"
_TYPE = "multipart/x-mixed-replace; boundary=frame"


def make_app(files: dict[str, tuple[str, str]], etc: Path | None) -> FastAPI:
    """Its pages."""
    app = FastAPI()
    bodies = {path: (media_type, base64.b64decode(body)) for path, (media_type, body) in files.items()}

    @app.get(PICTURES)
    def pictures() -> Response:
        return StreamingResponse(_parts(etc), media_type=_TYPE)

    @app.get(PAGE)
    def page() -> Response:
        return HTMLResponse(f'<!doctype html><title>bare</title><img src="{PICTURES}">')

    @app.get("/{path:path}")
    def recorded(path: str) -> Response:
        media_type, body = bodies.get(f"/{path}", (None, b""))
        return Response(body, 404 if media_type is None else 200, media_type=media_type)

    return app


def _parts(etc: Path) -> Iterator[bytes]:
    from cameras import NAME

    from observatory_common.directory import Directory
    from observatory_common.rpc.client import connect

    with connect(NAME, directory=Directory.load(etc / "observatory")) as camera:
        boot_id, number = None, 0
        yield b"--frame\r\n"
        while True:
            answer = camera.frame("live", boot_id, number, 5.0)
            boot_id, number = answer["boot_id"], answer["number"]
            data = answer["data"]
            yield b"Content-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n%s\r\n--frame\r\n" % (len(data), data)


if __name__ == "__main__":
    sock = socket.create_server(("127.0.0.1", 0))
    print(sock.getsockname()[1], flush=True)
    app = make_app(json.loads(Path(sys.argv[1]).read_text()), Path(sys.argv[2]) if len(sys.argv) > 2 else None)
    uvicorn.Server(uvicorn.Config(app, log_level="error", access_log=False)).run([sock])
