"""The pages' templates; what is put into them is escaped."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jinja2 import Environment


def render(name: str, **values: Any) -> str:
    """A template with these values."""
    return environment().get_template(name).render(**values)


@cache
def environment() -> Environment:
    """Finds templates in this folder, and keeps them compiled."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    return Environment(
        loader=PackageLoader("observatory_webd", "templates"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
