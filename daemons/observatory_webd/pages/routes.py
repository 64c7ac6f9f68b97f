"""One route for each page; who may not use a page is not shown it."""

# Annotations are no strings here: FastAPI resolves them.

from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from observatory_webd.accounts.dependencies import VIEWER, require, services_of
from observatory_webd.accounts.identity import Identity, Role
from observatory_webd.templates import render

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True)
class Page:
    """A page: its address is its name, its template NAME.html, its script /static/pages/NAME.js; `role` may see it."""

    name: str
    title: str
    role: Role = Role.viewer
    in_menu: bool = True

    @property
    def path(self) -> str:
        """Where it is."""
        return f"/{self.name}"


PAGES = (
    Page("live", "Live"),
    Page("focus", "Focus"),
    Page("gpio", "GPIO"),
    Page("files", "Files"),
    Page("cameras", "Cameras"),
    Page("system", "System"),
    Page("users", "Users", Role.administrator),
    Page("account", "Account", in_menu=False),
)


@router.get("/", dependencies=[VIEWER])
async def home() -> Response:
    """The first page."""
    return RedirectResponse(PAGES[0].path, 303)


def _add(page: Page) -> None:
    @router.get(page.path, name=f"page_{page.name}")
    async def show(request: Request, identity: Annotated[Identity, Depends(require(page.role))]) -> Response:
        return HTMLResponse(render(f"pages/{page.name}.html", **_frame(request, page, identity)))


def _frame(request: Request, page: Page, identity: Identity) -> dict[str, Any]:
    shown = [{"kind": link.shown.kind, "name": link.name, "label": link.shown.label} for link in services_of(request).links]
    return {
        "page": page,
        "menu": [item for item in PAGES if item.in_menu and item.role <= identity.role],
        "user": identity.name,
        "role": identity.role.name,
        "csrf_token": identity.csrf_token or "",
        "shown": shown,
    }


for _page in PAGES:
    _add(_page)
