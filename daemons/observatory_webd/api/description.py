"""The API's description of itself (OpenAPI)."""

# Annotations are no strings here: FastAPI resolves them.

from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, Request
from fastapi.openapi.utils import get_openapi

from observatory_webd.accounts.dependencies import CSRF_HEADER, Require, declared, require, routes_of
from observatory_webd.accounts.identity import Identity, Role
from observatory_webd.api.problems import MEDIA_TYPE

PATH = "/api/v1/openapi.json"
router = APIRouter()
_PROBLEM = {
    "type": "object",
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "code": {"type": "integer"},
        "error": {"type": "string"},
    },
    "required": ["type", "title", "status", "detail"],
}


@router.get(PATH, include_in_schema=False)
async def openapi(request: Request, identity: Annotated[Identity, Depends(require(Role.viewer))]) -> dict[str, Any]:
    """This description."""
    found: dict[str, Any] = request.app.openapi()
    return found


def describe(app: FastAPI) -> None:
    """Have an application describe its logins, the role that each route takes, and its errors."""

    def make() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _made(app)
        return app.openapi_schema

    app.openapi = make  # type: ignore[method-assign]


def _made(app: FastAPI) -> dict[str, Any]:
    schema: dict[str, Any] = get_openapi(title=app.title, version=app.version, routes=app.routes)
    components = schema.setdefault("components", {})
    components["securitySchemes"] = {
        "token": {"type": "http", "scheme": "bearer", "description": "a token, made on the page of tokens"},
        "login": {"type": "apiKey", "in": "header", "name": CSRF_HEADER, "description": "with the login's cookie"},
    }
    components.setdefault("schemas", {})["Problem"] = _PROBLEM
    problem = {"description": "a problem", "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}}
    for route in routes_of(app.routes):
        for method in getattr(route, "methods", None) or ():
            operation = schema["paths"].get(getattr(route, "path_format", ""), {}).get(method.lower())
            if operation is None:
                continue
            guard = declared(route)
            operation["responses"].pop("422", None)
            operation["responses"]["default"] = problem
            if isinstance(guard, Require):
                operation["security"] = [{"token": []}, {"login": []}]
                operation["x-role"] = guard.role.name
    return schema
