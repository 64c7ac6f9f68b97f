"""A script of raspiCamSrv's users: it knows that API's paths and answers, and nothing of ours."""

from __future__ import annotations

from typing import Any

import httpx
import webd


class Script:
    """Logs in, keeps both tokens, sends the access token; to be closed."""

    def __init__(self, url: str, **options: Any) -> None:
        self.http = httpx.Client(base_url=url, timeout=60, **options)
        self.access = self.refresh = ""

    def __enter__(self) -> Script:
        return self

    def __exit__(self, *_: object) -> None:
        self.http.close()

    def log_in(self, user: str = webd.ADMINISTRATOR, password: str = webd.PASSWORD) -> httpx.Response:
        """Log in, and keep what is answered."""
        answer = self.http.post("/api/login", json={"username": user, "password": password})
        if answer.status_code == 200:
            self.access, self.refresh = answer.json()["access_token"], answer.json().get("refresh_token", "")
        return answer

    def get(self, name: str, body: Any = None, token: str | None = None) -> httpx.Response:
        """GET one of its addresses, with this or the access token and perhaps a JSON body."""
        headers = {"Authorization": f"Bearer {self.access if token is None else token}"}
        return self.http.request("GET", f"/api/{name}", headers=headers, **({} if body is None else {"json": body}))

    def get_new(self, token: str | None = None) -> httpx.Response:
        """Ask for another access token."""
        headers = {"Authorization": f"Bearer {self.refresh if token is None else token}"}
        return self.http.post("/api/refresh", headers=headers)

    def done(self, name: str, body: Any = None) -> Any:
        """The message of something that is done."""
        answer = self.get(name, body)
        assert answer.status_code == 200, (name, answer.status_code, answer.text)
        assert list(answer.json()) == ["message"]
        return answer.json()["message"]

    def failed(self, name: str, body: Any = None) -> Any:
        """The message of something that cannot be done."""
        answer = self.get(name, body)
        assert answer.status_code == 500, (name, answer.status_code, answer.text)
        assert list(answer.json()) == ["message"]
        return answer.json()["message"]

    def probed(self, *names: str) -> list[Any]:
        """The values of these properties."""
        answer = self.get("probe", {"properties": [{"property": name} for name in names]})
        assert answer.status_code == 200 and list(answer.json()) == ["results"], answer.text
        results = answer.json()["results"]
        assert [list(result) for result in results] == [[name] for name in names]
        return [result[name] for result, name in zip(results, names, strict=True)]
