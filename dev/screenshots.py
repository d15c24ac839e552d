"""`python -m dev.screenshots [FOLDER]`: the pages as they look, for the README: docs/*.png.

A day of runs over invented users, the last of them under way.
"""

import io
import sys
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from PIL import Image
from playwright.async_api import Browser
from rich.console import Console

from dev.ageing import age_runs
from dev.browser import browsing
from dev.demo.command import run as act_on
from dev.demo.data import settings_for
from dev.demo.failure import Failure
from dev.demo.introduction import introduced
from dev.demo.outcome import read
from dev.demo.platform import Platform, register_schedule
from dev.demo.portrait import portray
from dev.demo.servers import Servers
from dev.stack import ADMIN_TOKEN, ROOT
from dev.world import World
from lib.qstash.schedule import SCHEDULE_ID

if TYPE_CHECKING:
    from asyncpg import Connection

FOLDER = ROOT / "docs"
INTERVAL = timedelta(hours=2)
RUNS = 13
ACTIVE = (0.15, 0.6)
PAGES_DONE = 5
WIDTH, SCALE = 1120, 1
COLOURS = 256
"""There are hardly more, and the files are half as large."""

SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")

AGE_VECTORS = "UPDATE user_embeddings SET generated_at = generated_at - $1::INTERVAL"
AGE_ACTIONS = """
UPDATE action_log SET created_at = created_at - $1::INTERVAL
WHERE created_at > now() - $1::INTERVAL
"""
ACT = """
INSERT INTO action_log (user_id, post_id, action_type, created_at)
SELECT user_id, post_id, action_type, now() - interval '1 minute'
FROM (
  SELECT DISTINCT ON (user_id) user_id, post_id, action_type
  FROM action_log
  WHERE user_id = ANY ($1::UUID[])
  ORDER BY user_id, random()
) AS again
"""


async def take(world: World, servers: Servers, console: Console) -> bool:
    """Run a day's runs, and take each picture."""
    async with introduced(console, servers, world, settings_for(world)) as platform:
        await register_schedule(platform.stack)
        broker = platform.stack.broker
        rng = np.random.default_rng(7)
        for number in range(RUNS):
            await broker.tick(SCHEDULE_ID)
            await broker.drain()
            await age(platform.connection)
            await act(platform.connection, world, rng.uniform(*ACTIVE), rng)
            console.print(f"run {number + 1} of {RUNS}")
        run = await platform.connection.fetchval(
            "SELECT id FROM embedding.runs ORDER BY number DESC LIMIT 1"
        )
        user = portray(world, (await read(platform.connection, platform.redis, run)).vectors).user
        await broker.tick(SCHEDULE_ID)
        for _ in range(PAGES_DONE):
            await broker.deliver(broker.pending()[0].message_id)
        async with browsing() as browser:
            await picture(browser, platform, "status", "/api/status")
            await picture(browser, platform, "user", f"/api/status/users/{user}")
    return True


async def age(connection: "Connection[Any]") -> None:
    """Let everything that has happened be an interval older."""
    await age_runs(connection, INTERVAL.total_seconds())
    for statement in (AGE_VECTORS, AGE_ACTIONS):
        await connection.execute(statement, INTERVAL)


async def act(
    connection: "Connection[Any]", world: World, share: float, rng: np.random.Generator
) -> None:
    """Have a share of the users do once more something that they did."""
    users = [user for user in world.users if rng.random() < share]
    await connection.execute(ACT, users)


async def picture(browser: Browser, platform: Platform, name: str, path: str) -> None:
    """Write docs/NAME-light.png and docs/NAME-dark.png."""
    for scheme in SCHEMES:
        page = await browser.new_page(
            color_scheme=scheme,
            viewport={"width": WIDTH, "height": 800},
            device_scale_factor=SCALE,
            extra_http_headers={"Authorization": f"Bearer {ADMIN_TOKEN}"},
        )
        answer = await page.goto(platform.stack.app_url + path)
        if answer is None or not answer.ok:
            raise Failure(f"expected a page at {path}, got: {platform.stack.functions.logs[-1]}")
        taken = Image.open(io.BytesIO(await page.screenshot(full_page=True)))
        taken.quantize(COLOURS).save(FOLDER / f"{name}-{scheme}.png", optimize=True)
        await page.close()


if __name__ == "__main__":
    sys.exit(act_on(take, sys.argv[1:]))
