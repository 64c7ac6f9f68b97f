"""The application: composition only."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.responses import Response
from starlette.staticfiles import StaticFiles

from observatory_webd.accounts import dependencies
from observatory_webd.api import cameras, description, events, files, focusers, gpios, problems, session, sets, system, users
from observatory_webd.entrance import router as entrance
from observatory_webd.legacy.answers import LegacyRoute
from observatory_webd.legacy.routes import router as legacy
from observatory_webd.pages.routes import router as pages
from observatory_webd.security.hosts import Hosts
from observatory_webd.security.shield import shielded
from observatory_webd.services import Services
from observatory_webd.streams.routes import make_router

if TYPE_CHECKING:
    from starlette.types import ASGIApp

FOLDER = Path(__file__).parent


class Assets(StaticFiles):
    """Scripts, styles and pictures: a browser keeps them, and asks each time whether they have changed."""

    def file_response(self, *args: Any, **kwargs: Any) -> Response:
        """A file, or that it has not changed."""
        response = super().file_response(*args, **kwargs)
        response.headers["cache-control"] = "no-cache"
        return response


def make_app(services: Services) -> FastAPI:
    """All routes, behind nothing yet. Raises TypeError for a route that does not say who may use it."""
    app = FastAPI(
        title="Observatory",
        version=services.context.software_version,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.services = services
    modules = (session, users, system, events, cameras, sets, files, focusers, gpios, description)
    for router in (entrance, pages, legacy, *(module.router for module in modules)):
        app.include_router(router)
    app.include_router(
        make_router(dependencies.require_to_look(), lambda connection: dependencies.services_of(connection).relays)
    )
    _answer_head(app)
    app.mount("/static", Assets(directory=FOLDER / "static"), name="static")
    problems.add_handlers(app)
    description.describe(app)
    dependencies.check(app.routes)
    return app


def _answer_head(app: FastAPI) -> None:
    """Have HEAD answered as GET is, where that is JSON or a page; the server leaves the body away.

    Streams and files have a HEAD of their own; zips and events, which are `Response`, and raspiCamSrv's GETs have none.
    """
    for route in list(dependencies.routes_of(app.routes)):
        if not isinstance(route, APIRoute) or isinstance(route, LegacyRoute) or route.response_class is Response:
            continue
        if "GET" in (route.methods or ()):
            app.add_api_route(
                route.path, route.endpoint, methods=["HEAD"], dependencies=route.dependencies, include_in_schema=False
            )


def make_server_app(services: Services) -> ASGIApp:
    """The application as it is served."""
    config = services.config
    return shielded(make_app(services), Hosts(config.allowed_hosts), config.trusted_proxies, services.accounts.audit)
