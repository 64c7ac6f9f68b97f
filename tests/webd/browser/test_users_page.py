"""Users and Account: several people at once, each with a browser of their own; scripts and their tokens."""

from __future__ import annotations

import re
from collections.abc import Iterator

import browsing
import pytest
import webd
from playwright.sync_api import Browser, Locator, Page, expect

GIVEN = "given by somebody"


@pytest.fixture
def visit(browser: Browser, web: webd.Webd) -> Iterator[browsing.Visit]:
    """See browsing.visits."""
    with browsing.visits(browser, web.url) as visit:
        yield visit


def row_of(page: Page, table: str, name: str) -> Locator:
    """The row of a table that begins with a name."""
    cell = page.get_by_role("cell", name=re.compile(rf"^{re.escape(name)}( \(you\))?$"))
    return page.get_by_role("table", name=table).get_by_role("row").filter(has=cell).first


def make_user(page: Page, name: str, role: str, password: str = GIVEN) -> None:
    form = page.get_by_role("form", name="New user")
    form.get_by_label("Name").fill(name)
    form.get_by_label("Role").select_option(role)
    form.get_by_label("First password").fill(password)
    form.get_by_role("button", name="Make the user").click()


def set_role(page: Page, name: str, role: str) -> None:
    page.get_by_role("combobox", name=f"Role of {name}").select_option(role)
    row_of(page, "Users", name).get_by_role("button", name="Set").click()


def log_in_first(person: browsing.Person, name: str, given: str, own: str) -> None:
    """Log in with a password that was given, and choose one's own."""
    page = person.go("/login")
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill(given)
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("heading", name=f"Password of {name}")).to_be_visible()
    page.get_by_label("Present password").fill(given)
    page.get_by_label("New password", exact=True).fill(own)
    page.get_by_label("New password again").fill(own)
    page.get_by_role("button", name="Change the password").click()
    expect(page.get_by_role("navigation", name="Pages")).to_be_visible()


@pytest.mark.parametrize("phone", [False, True], ids=["desktop", "phone"])
def test_a_user_is_made_lowered_given_a_password_and_removed_while_logged_in(
    visit: browsing.Visit, web: webd.Webd, phone: bool
) -> None:
    name = "olga.phone" if phone else "olga"
    boss = visit(phone=phone)
    page = boss.go("/users")
    make_user(page, name, "operator")
    row = row_of(page, "Users", name)
    expect(row).to_contain_text("given, must be changed")
    expect(row).to_contain_text("none known")
    expect(page.get_by_role("form", name="New user").get_by_label("Name")).to_have_value("")

    other = visit(None)
    other.allow_error("status of 401")
    other.allow_error("status of 403")
    log_in_first(other, name, GIVEN, webd.PASSWORD)
    expect(row).to_contain_text("own")
    expect(row).not_to_contain_text("none known")
    expect(other.page.get_by_role("navigation", name="Pages").get_by_role("link", name="Users")).to_have_count(0)
    theirs = other.go("/system")
    hint = theirs.get_by_text("Who looks, and from where, is shown to operators.")
    expect(theirs.get_by_role("heading", name="Viewers")).to_be_visible()
    expect(theirs.get_by_text("Nobody looks at a camera.").last).to_be_visible()
    expect(hint).to_be_hidden()

    set_role(page, name, "viewer")
    expect(page.get_by_text(f"{name} is viewer now.")).to_be_visible()
    expect(hint).to_be_visible()
    expect(theirs.locator('meta[name="role"]')).to_have_attribute("content", "viewer")  # it has loaded itself anew
    post = """token => fetch('/api/v1/cameras/none/photo', {method: 'POST', body: '{}', headers: {
        'Content-Type': 'application/json', 'X-CSRF-Token': document.querySelector('meta[name="csrf-token"]').content}})
        .then(answer => answer.status)"""
    assert theirs.evaluate(post) == 403

    page.get_by_role("button", name=f"Give {name} a password").click()
    dialog = page.get_by_role("dialog", name=f"Give {name} a password?")
    dialog.get_by_role("button", name="Cancel").click()
    expect(dialog).to_have_count(0)
    page.get_by_role("button", name=f"Give {name} a password").click()
    dialog.get_by_role("button", name="Suggest a password").click()
    suggested = dialog.get_by_label(f"New password of {name}").input_value()
    assert re.fullmatch(r"([a-z0-9]{4}-){3}[a-z0-9]{4}", suggested)
    boss.check_accessible()
    boss.check_fits()
    dialog.get_by_role("button", name="Give it").click()
    expect(row).to_contain_text("given, must be changed")
    expect(theirs.get_by_role("heading", name="Log in")).to_be_visible()  # thrown out
    log_in_first(other, name, suggested, webd.PASSWORD)

    theirs = other.go("/account")
    expect(theirs.get_by_text("You have no token.")).to_be_visible()
    boss.shoot(f"users-{'phone' if phone else 'desktop'}", full=phone)
    page.get_by_role("button", name=f"Remove {name}").click()
    dialog = page.get_by_role("dialog", name=f"Remove {name}?")
    dialog.get_by_role("button", name="Cancel").click()
    expect(row).to_be_visible()
    page.get_by_role("button", name=f"Remove {name}").click()
    page.get_by_role("dialog").get_by_role("button", name=f"Remove {name}").click()
    expect(row).to_have_count(0)
    expect(theirs.get_by_role("heading", name="Log in")).to_be_visible()
    with web.administrator() as api:
        assert name not in [user["user"] for user in api.get("/api/v1/users").json()]


def test_what_is_refused_is_said_and_nothing_is_lost(visit: browsing.Visit) -> None:
    boss = visit()
    boss.allow_error("status of 409")
    boss.allow_error("status of 422")
    page = boss.go("/users")
    form = page.get_by_role("form", name="New user")
    expect(form.get_by_text("10 to 200 characters; to be changed at the first login")).to_be_visible()
    make_user(page, "two words", "viewer")
    expect(page.get_by_role("alert").last).to_contain_text("'two words' cannot be used")
    expect(form.get_by_label("Name")).to_have_value("two words")
    make_user(page, "ANNA", "viewer")
    expect(page.get_by_role("alert").last).to_contain_text("there is a user ANNA already")
    make_user(page, "paul", "viewer", "aaaaaaaaaaaa")
    expect(page.get_by_role("alert").last).to_contain_text("not all the same")
    expect(row_of(page, "Users", "paul")).to_have_count(0)

    set_role(page, webd.ADMINISTRATOR, "viewer")
    expect(page.get_by_role("alert").last).to_contain_text(f"{webd.ADMINISTRATOR} is the last administrator")
    expect(page.get_by_role("combobox", name=f"Role of {webd.ADMINISTRATOR}")).to_have_value("administrator")
    page.get_by_role("button", name=f"Remove {webd.ADMINISTRATOR}").click()
    expect(page.get_by_role("dialog")).to_contain_text("That is you.")
    page.get_by_role("dialog").get_by_role("button", name=f"Remove {webd.ADMINISTRATOR}").click()
    expect(page.get_by_role("alert")).to_have_count(5)
    expect(row_of(page, "Users", webd.ADMINISTRATOR)).to_contain_text("(you)")
    boss.check_accessible()


def test_two_administrators_at_once_do_not_disturb_each_other(visit: browsing.Visit, web: webd.Webd) -> None:
    with web.user("berta", "administrator"), web.user("carl", "viewer"):
        anna, berta = visit().go("/users"), visit("berta").go("/users")
        form = berta.get_by_role("form", name="New user")
        form.get_by_label("Name").fill("dora")
        berta.get_by_role("combobox", name="Role of carl").select_option("operator")  # not sent yet
        make_user(anna, "emil", "viewer")
        expect(row_of(berta, "Users", "emil")).to_be_visible()
        set_role(anna, "emil", "operator")
        expect(berta.get_by_role("combobox", name="Role of emil")).to_have_value("operator")
        expect(form.get_by_label("Name")).to_have_value("dora")
        expect(berta.get_by_role("combobox", name="Role of carl")).to_have_value("operator")
        row_of(berta, "Users", "carl").get_by_role("button", name="Set").click()
        expect(anna.get_by_role("combobox", name="Role of carl")).to_have_value("operator")


@pytest.mark.parametrize("phone", [False, True], ids=["desktop", "phone"])
def test_a_token_is_made_used_and_revoked(visit: browsing.Visit, web: webd.Webd, phone: bool) -> None:
    name = "tina.phone" if phone else "tina"
    with web.user(name, "operator"):
        person = visit(name, phone=phone)
        page = person.go("/account")
        form = page.get_by_role("form", name="New token")
        expect(page.get_by_role("region", name="You")).to_contain_text("operator")
        expect(form.get_by_label("Role of the token").locator("option")).to_have_text(["viewer", "operator"])
        expect(form.get_by_text("at most 3650")).to_be_visible()
        form.get_by_label("What for").fill("night log")
        form.get_by_label("Lasts (days)").fill("7")
        form.get_by_role("button", name="Make the token").click()
        secret = page.get_by_label("Secret of night log").input_value()
        assert secret.startswith("obs_")
        expect(page.get_by_text("It is shown this once")).to_be_visible()
        person.check_accessible()
        person.check_fits()
        person.shoot(f"account-{'phone' if phone else 'desktop'}", full=phone)
        row = row_of(page, "Tokens", "night log")
        expect(row).to_contain_text("never")
        with web.browser(headers={"authorization": f"Bearer {secret}"}) as script:
            assert script.get("/api/v1/session").json() | {"date": 0} == {
                "user": name, "role": "viewer", "must_change_password": False, "csrf_token": None, "date": 0,
            }  # fmt: skip
            assert script.post("/api/v1/cameras/none/photo", json={}).status_code == 403
            expect(row).not_to_contain_text("never")
            page.get_by_role("button", name="I have kept it").click()
            expect(page.get_by_label("Secret of night log")).to_have_count(0)
            assert secret not in page.content()
            page.get_by_role("button", name="Revoke night log").click()
            page.get_by_role("dialog", name="Revoke the token night log?").get_by_role("button", name="Revoke it").click()
            expect(row).to_have_count(0)
            assert script.get("/api/v1/session").status_code == 401


def test_the_secret_can_be_copied_without_a_clipboard_too(visit: browsing.Visit) -> None:
    person = visit()
    page = person.page
    # as on a page without TLS, and in a browser that copies for no script
    page.add_init_script(
        "Object.defineProperty(navigator, 'clipboard', {value: undefined}); document.execCommand = () => false;"
    )
    person.go("/account")
    page.get_by_label("What for").fill("by hand")
    page.get_by_role("button", name="Make the token").click()
    page.get_by_role("button", name="Copy").click()
    expect(page.get_by_text("It is selected: copy it by the keyboard or the menu.")).to_be_visible()
    selected = page.evaluate(
        "document.activeElement.value.slice(document.activeElement.selectionStart, document.activeElement.selectionEnd)"
    )
    assert selected == page.get_by_label("Secret of by hand").input_value()


def test_an_administrator_revokes_the_token_of_somebody_else(visit: browsing.Visit, web: webd.Webd) -> None:
    with web.user("fritz", "viewer") as fritz:
        secret = fritz.post("/api/v1/tokens", json={"label": "weather"}).json()["secret"]
        person = visit()
        page = person.go("/users")
        row = row_of(page, "Tokens", "weather")
        expect(row).to_contain_text("fritz")
        page.get_by_role("button", name="Revoke weather of fritz").click()
        page.get_by_role("dialog", name="Revoke the token weather of fritz?").get_by_role("button", name="Revoke it").click()
        expect(row).to_have_count(0)
        with web.browser(headers={"authorization": f"Bearer {secret}"}) as script:
            assert script.get("/api/v1/session").status_code == 401


def test_who_is_no_administrator_sees_no_users(visit: browsing.Visit, web: webd.Webd) -> None:
    with web.user("gerd", "operator"):
        page = visit("gerd").page
        expect(page.get_by_role("navigation", name="Pages").get_by_role("link", name="System")).to_be_visible()
        expect(page.get_by_role("navigation", name="Pages").get_by_role("link", name="Users")).to_have_count(0)
        for path in ("/users", "/api/v1/users", "/api/v1/tokens?everybodys=true"):
            assert page.request.get(path).status == 403, path
