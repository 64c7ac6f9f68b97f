"""What all pages share: the menu, the colours, the line that says that the server is away."""

from __future__ import annotations

import io

import browsing
import numpy as np
import pytest
import waiting
import webd
from PIL import Image
from playwright.sync_api import expect

from observatory_webd.pages.routes import PAGES


@pytest.mark.parametrize("phone", [False, True], ids=["desktop", "phone"])
@pytest.mark.parametrize("name", [page.name for page in PAGES])
def test_every_page_fits_and_has_no_serious_finding(visit: browsing.Visit, name: str, phone: bool) -> None:
    person = visit(phone=phone)
    page = person.go(f"/{name}")
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    waiting.until(lambda: len(page.locator("main").inner_text()) > 20, 15, "the page's script")
    for theme in ("dark", "red", "light"):
        page.evaluate("theme => document.documentElement.dataset.theme = theme", theme)
        person.check_accessible()
    person.check_fits()


def test_the_colours_are_kept(visit: browsing.Visit) -> None:
    person = visit()
    page = person.page
    page.get_by_role("button", name="Dark").click()
    expect(page.locator("html")).to_have_attribute("data-theme", "red")
    person.go("/system")
    expect(page.locator("html")).to_have_attribute("data-theme", "red")
    expect(page.get_by_role("button", name="Red")).to_be_visible()


def test_numbers_and_times_are_written_as_people_read_them(visit: browsing.Visit) -> None:
    page = visit(locale="en-US", timezone_id="UTC").page
    written = page.evaluate(
        """async () => {
          const { formatBytes, formatClock, formatTime } = await import("/static/kit/dom.js");
          const sizes = [0, 999, 1000, 999_499, 999_500, 999_990, 1_234_567, 1e12].map(formatBytes);
          return [sizes, formatClock("2026-01-02T00:05:00Z"), formatTime("2026-01-02T00:05:00Z")];
        }"""
    )
    sizes = ["0 B", "999 B", "1.00 kB", "999 kB", "1.00 MB", "1.00 MB", "1.23 MB", "1.00 TB"]
    assert written == [sizes, "00:05:00", "1/2/2026, 00:05:00"]


def test_by_red_light_what_is_typed_and_chosen_can_be_read(visit: browsing.Visit) -> None:
    person = visit()
    page = person.page
    page.evaluate("document.documentElement.dataset.theme = 'red'")
    for kind in ("text", "placeholder", "date", "select", "checkbox", "radio", "range", "progress"):
        page.evaluate(
            """kind => {
              document.querySelector("#sample")?.remove();
              const sample = document.createElement({ select: "select", progress: "progress" }[kind] ?? "input");
              sample.id = "sample";
              if (kind === "select") sample.append(new Option("chosen"));
              else if (kind === "progress") sample.value = 0.5;
              else if (kind === "placeholder") sample.placeholder = "typed";
              else Object.assign(sample, { type: kind, checked: true });
              if (["text", "date", "range"].includes(kind))
                sample.value = { text: "typed", date: "2026-11-21", range: 50 }[kind];
              document.querySelector("main").prepend(sample);
            }""",
            kind,
        )
        picture = Image.open(io.BytesIO(page.locator("#sample").screenshot())).convert("RGB")
        red, *others = np.moveaxis(np.asarray(picture)[4:-4, 4:-4], -1, 0)  # without the border
        assert not np.any(others), f"{kind}: there is other light than red"
        assert red.max() >= 240 and red.min() <= 60, f"{kind}: reds from {red.min()} to {red.max()}, labels have 255"


def test_who_may_not_see_a_page_is_told_why(visit: browsing.Visit, site: webd.Rig) -> None:
    site.web.user("viv", "viewer").close()
    person = visit(user="viv")
    person.allow_error("status of 403")
    person.allow_error("status of 404")
    expect(person.page.get_by_role("link", name="Users")).to_have_count(0)
    page = person.go("/users")
    expect(page.get_by_role("alert")).to_contain_text("it takes the role administrator")
    person.check_accessible()
    expect(person.go("/nowhere").get_by_role("alert")).to_have_text("There is no such page.")
    page.get_by_role("link", name="To the first page").click()
    expect(page).to_have_title("Live - Observatory")
