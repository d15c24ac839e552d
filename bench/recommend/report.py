"""The findings in words and tables."""

from collections.abc import Iterator

from bench.recommend.load import CONNECTIONS
from bench.recommend.measure import Findings
from bench.recommend.world import EACH, TOPICS
from bench.table import Table, verdict
from bench.target import Target, most

RECALL = 0.98
TIMES = 2.0
ROUTE, STATEMENTS, NOTHING = "the route", "its statements", "an answer of 400"


def introduction(findings: Findings) -> str:
    """Return what was measured, on what, and how to do it again."""
    return f"""# Recommendations

Written by `{findings.command}` in {findings.seconds:.0f} s, on 2 processors, which Postgres, the
function and whoever asks it share; only ratios are worth comparing.

The world: {findings.posts:,} posts about {TOPICS} topics. A post's vector is its topic's, a random
direction, and random noise 1.2 times as long, of unit length: cosines are 0.4 within a topic and 0
between two. {EACH} users of each kind; a user's vector is the mean of the posts known of the user's
topics, less the mean of all posts.
"""


def tables(findings: Findings) -> Iterator[Table]:
    """Yield every table, the verdict first."""
    yield verdict(targets(findings))
    yield _found(findings)
    yield _load(findings)
    yield _indexes(findings)


def targets(findings: Findings) -> Iterator[Target]:
    """Yield every target that one run can tell of."""
    for kind, recall in findings.lists.recalls.items():
        found = f"{recall.mean:.3f}"
        yield Target(f"recall@20, {kind}", f"{RECALL:g}", found, recall.mean >= RECALL)
    route, bare = findings.under_load[ROUTE], findings.under_load[STATEMENTS]
    yield most("p50 of the route, times its statements'", TIMES, route.median / bare.median, 2)
    yield most("p95 of the route, times its statements'", TIMES, route.slow / bare.slow, 2)


def _found(findings: Findings) -> Table:
    head = ("recall@20 (worst), ms", "the lists", "HNSW", "every post")
    rows = []
    for kind, recall in findings.lists.recalls.items():
        found = [recall, findings.graph.recalls[kind], findings.exact[kind]]
        cells = [
            f"{one.mean:.3f} ({one.worst:.2f}), {one.milliseconds.median:.0f}" for one in found
        ]
        rows.append((kind, *cells))
    note = """
Of the 20 posts nearest to the user that the user does not know, how many are among the candidates,
on average and at worst; and the milliseconds that it takes to look for candidates, with nothing
else going on. With HNSW (m 16, ef_construction 64) `hnsw.ef_search` is 400, iterative.
"""
    return Table("What is found", head, rows, note)


def _load(findings: Findings) -> Table:
    rows = [
        (name, f"{times.median:.0f}", f"{times.slow:.0f}", f"{times.a_second:.0f}")
        for name, times in findings.under_load.items()
    ]
    note = f"""
{CONNECTIONS} connections, each of whom asks again once answered, users of all kinds; what is
compared takes turns. The route: over HTTP, the function under the real vercel-runtime behind the
stand-in for Vercel's edge. Its statements: all that an answer runs, the impressions too, by five
connections as the function has, with nothing done with what comes back. An answer of 400 never
comes to the database: it is what HTTP, the edge and the asker take.
"""
    return Table("Under load, ms", ("", "p50", "p95", "answers a second"), rows, note)


def _indexes(findings: Findings) -> Table:
    kinds = {"the lists": findings.lists, "HNSW": findings.graph}
    rows = [(name, f"{index.seconds:.0f}", f"{index.bytes:,.0f}") for name, index in kinds.items()]
    return Table("The index for what is near", ("", "s to build", "bytes a post"), rows)
