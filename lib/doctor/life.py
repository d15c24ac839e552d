"""Postgres, how things go: the server, the data, the runs."""

import time

from lib.doctor.finding import Verdict, look, ok, wrong
from lib.doctor.patient import Patient
from lib.embedding import DIMENSIONS
from lib.embedding.schemes import RECOMMENDED, RETRACTIONS
from lib.settings import VectorSettings
from lib.store import health
from lib.store.neighbours import find_operators

PLAN_SECONDS = 120
"""What planning a run may take."""

CLOCK_SECONDS = 30
LARGE_SCAN = 2_000.0
"""The planner's cost of reading some 100,000 actions from end to end."""

MOST_FULL = 0.9
TICK_SECONDS = 7_200
STILL_SECONDS = 900


async def server(patient: Patient) -> Verdict:
    """Look at how the server takes this role's statements."""
    found = await health.server(patient.connection)
    if found.replica:
        return wrong("is a replica, which takes no writes", "DATABASE_URL must lead to the primary")
    if found.read_only:
        return wrong(
            "this role's transactions are read-only",
            'psql "$DIRECT_URL" -c "ALTER ROLE ... SET default_transaction_read_only = off"',
        )
    if 0 < found.patience < PLAN_SECONDS:
        return wrong(
            f"statement_timeout is {found.patience:g} s: planning a run may take {PLAN_SECONDS} s",
            f'psql "$DIRECT_URL" -c "ALTER ROLE ... SET statement_timeout = \'{PLAN_SECONDS}s\'"',
        )
    if found.connections > MOST_FULL * found.most_connections:
        return look(
            f"{found.connections} of {found.most_connections} connections are taken",
            "let DATABASE_URL lead through a transaction pooler, with DATABASE_POOLED=1",
        )
    return ok("takes writes, and statements as long as a plan needs")


async def clock(patient: Patient) -> Verdict:
    """Compare this machine's clock with the database's."""
    ahead = time.time() - (await health.server(patient.connection)).now.timestamp()
    if abs(ahead) > CLOCK_SECONDS:
        return look(
            f"here and in Postgres are {abs(ahead):.0f} s apart",
            "set the clock that is wrong: signatures are valid for 5 minutes by it",
        )
    return ok("here and in Postgres agree")


async def model(patient: Patient) -> Verdict:
    """Look for posts embedded by the configured model."""
    wanted = VectorSettings.load(patient.environ).model_version
    if not (await _sample(patient)).looked_at:
        others = await health.models(patient.connection)
        if not others:
            return look("no post has an embedding yet", "embed posts: nothing counts before that")
        return wrong(
            f"no post is embedded by {wanted}, but by {', '.join(others)}",
            f"set MODEL_VERSION={others[0]}, then redeploy",
        )
    return ok(f"posts are embedded by {wanted}")


async def vectors(patient: Patient) -> Verdict:
    """Look at a sample of the posts' vectors."""
    found = await _sample(patient)
    if found.other_length:
        return wrong(
            f"{found.other_length} of {found.looked_at} posts' vectors have not {DIMENSIONS}"
            " numbers",
            "set MODEL_VERSION to the model whose vectors have; embed the others again",
        )
    if found.not_unit:
        return wrong(
            f"{found.not_unit} of {found.looked_at} posts' vectors are not of length 1: longer ones"
            " weigh more, and recommendations rank by length",
            "normalise embeddings before they are stored: UPDATE post_embeddings SET"
            " embedding = l2_normalize(embedding), updated_at = now()",
        )
    if found.missing:
        return look(
            f"{found.missing} of {found.looked_at} posts have a row without a vector",
            "embed them: what is done with them does not count before that",
        )
    return ok(f"{found.looked_at} looked at: all of length 1")


async def _sample(patient: Patient) -> health.Vectors:
    wanted = VectorSettings.load(patient.environ).model_version
    async with patient.connection.transaction(readonly=True):
        await find_operators(patient.connection)
        return await health.vectors(patient.connection, wanted)


async def actions(patient: Patient) -> Verdict:
    """Look at the types and times of the latest actions."""
    types = await health.action_types(patient.connection)
    known = {*RECOMMENDED.known_actions, *RETRACTIONS}
    unknown = {name: number for name, number in types.items() if name not in known}
    total = sum(types.values())
    if not total:
        return look("nobody has done anything yet", "log actions: see docs/use.md")
    if len(unknown) == len(types):
        return wrong(
            f"none of the latest {total} is of a type that counts:"
            f" {', '.join(sorted(unknown)[:5])}",
            "log view_post, like_post, comment_post, bookmark_post and share_post, or a view that"
            " names them so",
        )
    ahead = await health.ahead(patient.connection)
    if ahead:
        return look(
            f"{ahead} are dated in the future: they count as now, until then",
            "see what logs them: its clock, or times without their zone",
        )
    return ok(f"the latest {total} have known types and times")


async def plan(patient: Patient) -> Verdict:
    """Ask the planner how it would read what a page reads."""
    scans = await health.full_scans(patient.connection)
    large = {name: cost for name, cost in scans.items() if cost > LARGE_SCAN}
    if large:
        return wrong(
            f"a page would read all of {', '.join(sorted(large))} for each look-up",
            "give the columns behind user_id, created_at and post_id indexes, uncast in the view;"
            " ANALYZE",
        )
    return ok("a page finds what it needs by indexes")


async def runs(patient: Patient) -> Verdict:
    """Look at when the last run was planned, and whether it comes on."""
    found = await health.last_run(patient.connection)
    if found is None:
        return look("there was none yet", "python schedule.py trigger")
    if found.planned > 2 * TICK_SECONDS:
        return wrong(
            f"the last was planned {found.planned / 3600:.1f} hours ago",
            "python schedule.py trigger, then python schedule.py show",
        )
    if found.open and found.progressed > STILL_SECONDS:
        return wrong(
            f"the open one has stood still for {found.progressed / 60:.0f} minutes",
            "python schedule.py trigger, which takes its users over; vercel logs says why",
        )
    return ok("come on" if found.open else "the last is through")


async def failures(patient: Patient) -> Verdict:
    """Look for users whose data is at fault."""
    found = await health.failures(patient.connection)
    if found:
        shown = "; ".join(f"{number} x {reason}" for reason, number in found.items())
        return look(
            f"users without a vector for their data's sake: {shown}",
            'psql "$DIRECT_URL" -c "SELECT * FROM embedding.failures ORDER BY failed_at DESC"',
        )
    return ok("nobody's data is at fault")
