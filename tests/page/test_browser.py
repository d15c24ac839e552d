"""The pages in a real browser: under their policy, alive, and for everybody."""

import json
from typing import Any, Literal

import pytest
from asyncpg import Connection
from playwright.async_api import Browser, ConsoleMessage, Page, expect

from lib.batch.why import why
from lib.settings import DatabaseSettings, VectorSettings
from lib.store.database import Database
from tests.npm import package
from tests.page.conftest import PAGE_SIZE, TITLE, Site, deliver_page, link, opened

pytestmark = pytest.mark.timeout(180)

SECONDS = 60_000
PHONE = {"width": 360, "height": 740}
AXE = "4.14.1"
NOT_EXPLORED = "00000000-0000-4000-8000-000000000000"
INTRUDE = """
() => {
  document.body.append(Object.assign(document.createElement("script"), {text: "intruded = true"}))
  return fetch("https://elsewhere.example/").catch(() => null)
}
"""
REACHABLE = "a, summary, input:not([type=hidden]), button, [tabindex='0']"
FOCUSED = """
() => {
  const at = document.activeElement
  return [at.tagName, at.closest("[id]")?.id ?? at.parentElement.className].join(" ")
}
"""


def watch(page: Page) -> list[str]:
    """Collect whatever the browser complains of."""
    found: list[str] = []

    def heard(message: ConsoleMessage) -> None:
        found.append(f"{message.type}: {message.text}")

    page.on("console", heard)
    page.on("pageerror", lambda error: found.append(f"error: {error}"))
    return found


async def test_pages_load_under_their_policy_without_a_complaint(page: Page, site: Site):
    complaints = watch(page)
    for path in ("/api/status", f"/api/status/users/{site.user}"):
        answer = await page.goto(site.at(path))
        assert answer is not None
        assert answer.status == 200
        assert "'none'" in answer.headers["content-security-policy"]
        await expect(page.locator("h1")).to_be_visible()
        assert complaints == []
        # styled, so the policy let our own style in
        await expect(page.locator("header")).to_have_css("display", "flex")
    assert "broken into" not in await page.title()


async def test_policy_keeps_out_what_got_into_a_page(page: Page, site: Site):
    complaints = watch(page)
    await page.goto(site.at("/api/status"))
    await page.evaluate(INTRUDE)
    assert await page.evaluate("window.intruded") is None
    said = "\n".join(complaints)
    assert "script-src" in said
    assert "connect-src" in said


async def test_bar_moves_while_a_run_is_in_progress(browser: Browser, site: Site):
    stack = site.stack
    page = await browser.new_page()
    complaints = watch(page)
    await page.goto(site.at("/api/status" + link()))
    bar = page.locator("progress")
    users = len(site.scene.users)
    assert await bar.get_attribute("value") == str(PAGE_SIZE)
    assert await bar.get_attribute("max") == str(users)
    await expect(page.locator("#run")).to_contain_text("Run 2 is in progress")
    await deliver_page(stack)
    await expect(bar).to_have_attribute("value", str(2 * PAGE_SIZE), timeout=SECONDS)
    await stack.broker.drain()
    await expect(page.locator("#run")).to_contain_text("Run 2 finished", timeout=SECONDS)
    await expect(page.locator("#runs tbody tr").first).to_contain_text("finished")
    assert complaints == []


async def test_page_says_when_its_link_is_good_no_more(browser: Browser, site: Site):
    page = await browser.new_page()
    await page.goto(site.at("/api/status" + link()))
    site.stack.environ["ADMIN_TOKEN"] = "canary-next-admin-token"  # type: ignore[index]
    site.stack.functions.kill()
    await expect(page.locator("#trouble")).to_contain_text("status-link", timeout=SECONDS)
    await expect(page.locator("#run")).to_be_visible()


async def test_user_view_shows_the_posts_that_the_tables_name(
    page: Page, site: Site, connection: Connection
):
    await page.goto(site.at(f"/api/status/users/{site.user}"))
    titles = {
        row["id"]: row["title"] for row in await connection.fetch("SELECT id, title FROM posts")
    }
    database = Database(DatabaseSettings.load(site.stack.environ))
    found = await why(database, VectorSettings.load(site.stack.environ), site.user)
    await database.close()
    assert found is not None
    rows = page.locator("section[aria-labelledby=why-title] tbody tr")
    shown = [await row.locator("td").all_inner_texts() for row in await rows.all()]
    assert [(row[0], row[2]) for row in shown] == [
        (titles[one.contribution.post], f"{one.contribution.share:.1%}".replace("%", " %"))
        for one in found.reasons
    ]
    known = {
        titles[row["post_id"]]
        for row in await connection.fetch(
            "SELECT post_id FROM action_log WHERE user_id = $1", site.user
        )
    }
    table = page.locator("section[aria-labelledby=recommended-title] tbody tr")
    offered = await table.locator("td:first-child").all_inner_texts()
    assert len(offered) == 10
    assert set(offered) <= set(titles.values()) - known
    marks = page.locator("svg.map g")
    assert await marks.locator("title", has_text="post ").count() <= len(titles)
    assert await page.locator("svg.map g.own").count() == len(found.reasons)
    assert await page.locator("svg.map g.recommended").count() == len(offered)
    assert await page.locator("svg.map g.star").count() == 1
    assert TITLE in (await marks.first.locator("title").text_content() or "")
    assert await connection.fetchval("SELECT count(*) FROM embedding.impressions") == 0


async def test_neighbour_is_a_click_away_and_the_way_back_too(browser: Browser, site: Site):
    page = await browser.new_page()
    await page.goto(site.at(f"/api/status/users/{site.user}{link()}"))
    near = page.locator("section[aria-labelledby=near-title] a").first
    name = await near.inner_text()
    await near.click()
    await expect(page.locator("h1")).to_have_text(f"User {name}")
    await page.locator("header a").click()
    await expect(page.locator("#run")).to_be_visible()


@pytest.mark.parametrize("path", ["/api/status", "/api/status/users/{user}"])
async def test_page_fits_a_phone(browser: Browser, site: Site, path: str):
    page = await opened(browser, viewport=PHONE)
    await page.goto(site.at(path.format(user=site.user)))
    width = await page.evaluate("document.documentElement.scrollWidth")
    assert width <= PHONE["width"]


async def test_keyboard_reaches_everything_and_keeps_its_place(page: Page, site: Site):
    await page.goto(site.at("/api/status"))
    reachable = await page.locator(REACHABLE).filter(visible=True).count()
    reached = []
    for _ in range(reachable):
        await page.keyboard.press("Tab")
        reached.append(await page.evaluate(FOCUSED))
    assert len(set(reached)) == reachable
    assert reached[0] == "A "
    summary = page.locator("#chart-1 summary")
    await summary.focus()
    await page.keyboard.press("Enter")
    await expect(page.locator("#chart-1 table")).to_be_visible()
    before = await page.locator("#as-of").inner_text()
    await expect(page.locator("#as-of")).not_to_have_text(before, timeout=SECONDS)
    await expect(summary).to_be_focused()
    await page.locator("#id").fill(str(site.user))
    await page.keyboard.press("Enter")
    await expect(page.locator("h1")).to_have_text(f"User {site.user}")


async def test_user_without_a_vector_is_told_why(page: Page, site: Site):
    answer = await page.goto(site.at(f"/api/status/users/{NOT_EXPLORED}"))
    assert answer is not None
    assert answer.status == 404
    await expect(page.locator("main")).to_contain_text("has none: no such user")


@pytest.fixture(scope="module")
def axe() -> str:
    """The text of axe-core."""
    return (package("axe-core", AXE) / "node_modules" / "axe-core" / "axe.min.js").read_text()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("path", ["/api/status", "/api/status/users/{user}"])
async def test_axe_finds_nothing_that_keeps_anybody_out(
    browser: Browser, site: Site, axe: str, path: str, scheme: Literal["light", "dark"]
):
    page = await opened(browser, color_scheme=scheme)
    await page.goto(site.at(path.format(user=site.user)))
    await page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true })")
    await page.evaluate(axe)
    found: dict[str, Any] = await page.evaluate("axe.run()")
    assert (
        json.dumps(
            [
                (one["id"], [node["html"][:120] for node in one["nodes"]])
                for one in found["violations"]
            ]
        )
        == "[]"
    )
    assert {"color-contrast", "label", "document-title"} <= {one["id"] for one in found["passes"]}
