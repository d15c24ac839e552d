"""A deployment with something to see, and a browser to see it with."""

import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from uuid import UUID

import pytest
from asyncpg import Connection
from playwright.async_api import Browser, Page

from dev.ageing import age_runs
from dev.browser import browsing, installed
from dev.stack import ADMIN_TOKEN, Stack
from lib.status.link import PAGES, ending, sign
from tests.conftest import Start, trigger
from tests.scene import Scene, build

TITLE = """<script>document.title = "broken into"</script> & "quoted\""""
TOPICS = ("art", "bread", "cats", "dice", "eels", "figs", "gold")
PAGE_SIZE = 10

NAME_POSTS = """
UPDATE posts
SET title = concat('post ', id, ' ', $2::text),
  topic = ($1::text[])[1 + abs(hashtext(id::text)) % array_length($1::text[], 1)]
"""


@dataclass(frozen=True)
class Site:
    """A stack after one run and in the middle of another; `user` has a vector."""

    stack: Stack
    scene: Scene
    user: UUID

    def at(self, path: str) -> str:
        return self.stack.app_url + path


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    if installed() is None:
        pytest.skip("no chromium on the PATH: apt-get install chromium")
    async with browsing() as found:
        yield found


@pytest.fixture
async def page(browser: Browser) -> Page:
    """A page that has the token, and speaks only of what goes wrong."""
    return await opened(browser)


async def opened(browser: Browser, **context: object) -> Page:
    headers = {"Authorization": f"Bearer {ADMIN_TOKEN}"}
    return await browser.new_page(extra_http_headers=headers, **context)


@pytest.fixture
async def site(start: Start, connection: Connection) -> Site:
    stack = await start({"PAGE_SIZE": str(PAGE_SIZE)})
    scene = await build(connection)
    await connection.execute(NAME_POSTS, TOPICS, TITLE)
    await trigger(stack)
    await stack.broker.drain()
    await age_runs(connection, 7200)
    await connection.executemany(
        "INSERT INTO embedding.due VALUES ($1, 'rebuild')", [(user,) for user in scene.users]
    )
    await stack.broker.deliver(await trigger(stack))
    await deliver_page(stack)
    user = await connection.fetchval(
        "SELECT user_id FROM user_embeddings JOIN action_log USING (user_id)"
        " GROUP BY user_id ORDER BY count(*) DESC, user_id LIMIT 1"
    )
    return Site(stack, scene, UUID(str(user)))


async def deliver_page(stack: Stack) -> None:
    """Have the one page that waits worked off."""
    [waiting] = stack.broker.pending()
    await stack.broker.deliver(waiting.message_id)


def link(minutes: int = 10) -> str:
    """Return the end of an address that opens it without a token."""
    expires = int(time.time()) + 60 * minutes
    return ending({"expires": str(expires), "signature": sign(PAGES, expires, ADMIN_TOKEN)})
