import asyncio
from collections.abc import Mapping
from datetime import timedelta
from uuid import UUID, uuid4

import asyncpg
import pytest

from lib.commands.experiment import report
from lib.errors import SettingError, Unavailable
from lib.store.experiments import record
from tests.scene import act

EXPERIMENT = "tastes:baseline=50,recommended=50"
POST = UUID(int=1)


async def expose(
    connection: asyncpg.Connection,
    scheme: str,
    likes: Mapping[int, int],
    *,
    days: float = 8,
    users: int = 30,
) -> None:
    """Write users of a scheme, of whom the nth did as many likes after as n modulo their number."""
    now = await connection.fetchval("SELECT clock_timestamp()")
    since = now - timedelta(days=days)
    numbers = await connection.fetchval("SELECT count(*) FROM users")
    members = [UUID(int=numbers + n + 1) for n in range(users)]
    await connection.executemany("INSERT INTO users VALUES ($1)", [(user,) for user in members])
    await record(connection, "tastes", members, scheme, since)
    for place, user in enumerate(members):
        for _ in range(likes[place % len(likes)]):
            await act(connection, user, POST, at=since + timedelta(hours=1))
        await act(connection, user, POST, "view_post", since - timedelta(hours=place % 3 + 1))


async def said(
    functions_url: str, capsys: pytest.CaptureFixture[str], experiment: str = EXPERIMENT
) -> str:
    environ = {"DATABASE_URL": functions_url, "EMBEDDING_EXPERIMENT": experiment}
    assert await asyncio.to_thread(report, environ) == 0
    return capsys.readouterr().out


async def test_difference_that_is_there_is_told_with_its_interval(
    connection: asyncpg.Connection, functions_url: str, capsys: pytest.CaptureFixture[str]
):
    await expose(connection, "baseline@1", {0: 0, 1: 2})
    await expose(connection, "recommended@1", {0: 1, 1: 3})
    # each arm: likes of 5, 30 squares of 5 over 29: 1.96 * 5 * sqrt(2 / 29) = 2.57
    assert await said(functions_url, capsys) == (
        "experiment tastes, 7 days before and after each user's first vector\n"
        "\n"
        "               exposed  wanted   found  compared   before    after\n"
        "baseline@1          30   50.0%   50.0%        30     1.00     5.00\n"
        "recommended@1       30   50.0%   50.0%        30     1.00    10.00\n"
        "\n"
        "sample ratio: as wanted (p = 1)\n"
        "against baseline@1, adjusted for the 7 days before, with 95 % intervals:\n"
        "  recommended@1: +5.00 weighted actions a user (2.43 to 7.57);"
        " the adjustment took 0 % off the variance\n"
        "\n"
        "shown posts: none is known that these users were shown since their first vector\n"
    )


async def test_no_difference_is_called_so(
    connection: asyncpg.Connection, functions_url: str, capsys: pytest.CaptureFixture[str]
):
    await expose(connection, "baseline@1", {0: 0, 1: 2})
    await expose(connection, "recommended@1", {0: 2, 1: 0})
    found = await said(functions_url, capsys)
    assert "  recommended@1: no difference shown (-2.57 to 2.57);" in found


async def test_users_within_their_days_are_counted_and_not_compared(
    connection: asyncpg.Connection, functions_url: str, capsys: pytest.CaptureFixture[str]
):
    await expose(connection, "baseline@1", {0: 1})
    await expose(connection, "recommended@1", {0: 1}, users=29)
    await expose(connection, "recommended@1", {0: 1}, days=6.9, users=3)
    found = await said(functions_url, capsys)
    assert "3 users are still within their 7 days, and not compared yet" in found
    assert "recommended@1: too few users to compare: each arm needs 30" in found


async def test_users_who_went_missing_are_noticed(
    connection: asyncpg.Connection, functions_url: str, capsys: pytest.CaptureFixture[str]
):
    await expose(connection, "baseline@1", {0: 1}, users=90)
    await expose(connection, "recommended@1", {0: 1})
    assert "sample ratio: NOT as wanted (p = 4e-08)" in await said(functions_url, capsys)
    fair = await said(functions_url, capsys, "tastes:baseline@1=3,recommended@1=1")
    assert "sample ratio: as wanted (p = 1)" in fair


async def show(
    connection: asyncpg.Connection, scheme: str, acted: int, *, propensity: float | None = None
) -> None:
    """Show each user of a scheme 20 posts; every other user acts on so many of them."""
    users = await connection.fetch(
        "SELECT user_id FROM embedding.exposures WHERE scheme = $1 ORDER BY user_id", scheme
    )
    for place, [user] in enumerate(users):
        rec_id = uuid4()
        await connection.execute(
            "INSERT INTO embedding.showings VALUES ($1, $2, NULL, now())", rec_id, user
        )
        await connection.execute(
            "INSERT INTO embedding.impressions (rec_id, post_id, position, propensity)"
            " SELECT $1, lpad(n::TEXT, 32, '0')::UUID, n, $2::FLOAT8 FROM generate_series(0, 19) n",
            rec_id,
            propensity,
        )
        await connection.execute(
            "INSERT INTO embedding.responses SELECT rec_id, post_id, 'like_post', now()"
            " FROM embedding.impressions WHERE rec_id = $1 AND position < $2",
            rec_id,
            acted if place % 2 else 0,
        )


async def test_share_of_the_shown_posts_that_were_acted_on_is_told_by_arm(
    connection: asyncpg.Connection, functions_url: str, capsys: pytest.CaptureFixture[str]
):
    """And apart from it that of places given at random."""
    await expose(connection, "baseline@1", {0: 0})
    await expose(connection, "recommended@1", {0: 0})
    await expose(connection, "decay@1", {0: 0}, users=4)
    await show(connection, "baseline@1", 2)
    await show(connection, "recommended@1", 6)
    await show(connection, "decay@1", 20)
    # 30 of 600, 1 left of each user: 1.96 * sqrt(30 * 30 / 29) / 600 = 1.82 %; three times as much
    shown = (
        "shown posts acted on, since each user's first vector and of the last 30 days:\n"
        "                 users     shown  acted on  95 % interval, by user\n"
        "baseline@1          30       600     5.00%  (3.18% to 6.82%)\n"
        "recommended@1       30       600    15.00%  (9.54% to 20.46%)\n"
        "  recommended@1: +10.00 percentage points (+4.25 to +15.75)\n"
    )
    without = "no place was given at random: no replay of these may be called unbiased\n"
    assert (await said(functions_url, capsys)).endswith(f"left out\n\n{shown}{without}")
    for scheme in ("baseline@1", "recommended@1"):
        await show(connection, scheme, 4, propensity=0.05)
    assert (await said(functions_url, capsys)).endswith(
        f"left out\n\n{shown}"
        "the same at places given at random; only with these may a replay be called unbiased:\n"
        "                 users     shown  acted on  95 % interval, by user\n"
        "baseline@1          30       600    10.00%  (6.36% to 13.64%)\n"
        "recommended@1       30       600    10.00%  (6.36% to 13.64%)\n"
        "  recommended@1: no difference shown (-5.15 to +5.15)\n"
    )


async def test_shares_of_too_few_users_are_not_compared(
    connection: asyncpg.Connection, functions_url: str, capsys: pytest.CaptureFixture[str]
):
    await expose(connection, "baseline@1", {0: 0})
    await expose(connection, "recommended@1", {0: 0}, users=29)
    await show(connection, "baseline@1", 2)
    await show(connection, "recommended@1", 2)
    found = await said(functions_url, capsys)
    assert "recommended@1       29       580     4.83%\n" in found
    assert "recommended@1: too few users to compare: each arm needs 30 who were shown" in found


async def test_users_of_a_scheme_that_is_no_arm_are_left_out(
    connection: asyncpg.Connection, functions_url: str, capsys: pytest.CaptureFixture[str]
):
    await expose(connection, "baseline@1", {0: 1})
    await expose(connection, "decay@1", {0: 1}, users=4)
    found = await said(functions_url, capsys)
    assert "4 users got a scheme that is no arm of this experiment: left out" in found


async def test_experiment_that_nobody_is_in_yet_has_nothing_to_tell(
    functions_url: str, capsys: pytest.CaptureFixture[str]
):
    found = await said(functions_url, capsys, "tastes:baseline=1,decay=1,centred=2")
    assert "sample ratio: too few users to check" in found
    assert found.count("too few users to compare") == 2


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "EMBEDDING_EXPERIMENT is empty: there is no experiment to report on"),
        ("tastes", "EMBEDDING_EXPERIMENT must be name:scheme=share"),
        ("tastes:decay=1,decay=1", "EMBEDDING_EXPERIMENT: expected arms of different schemes"),
        ("tastes:decay=1,tarot=1", "EMBEDDING_EXPERIMENT: expected one of baseline@1"),
    ],
)
def test_experiment_that_is_none_is_refused_by_name(text: str, expected: str):
    with pytest.raises(SettingError) as refused:
        report({"DATABASE_URL": "postgresql:///nowhere", "EMBEDDING_EXPERIMENT": text})
    assert str(refused.value).startswith(expected)


def test_postgres_that_is_away_is_said_to_be():
    environ = {"DATABASE_URL": "postgresql://127.0.0.1:1/x", "EMBEDDING_EXPERIMENT": EXPERIMENT}
    with pytest.raises(Unavailable, match="postgres"):
        report(environ)
