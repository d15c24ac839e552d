"""What a person gets to see of a run."""

from collections.abc import Iterable, Iterator
from datetime import timedelta
from itertools import zip_longest
from uuid import UUID

from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.text import Text

from dev.demo.claims import Claim
from dev.demo.outcome import Outcome
from dev.demo.portrait import Portrait, Suggestion
from dev.world import World
from lib.cache import key
from lib.settings import VectorSettings

FIRST_NUMBERS = 5

type Rows = Iterable[tuple[str, ...]]


def heading(console: Console, text: str) -> None:
    """Print the title of what follows."""
    console.print()
    console.print(text, style="bold")


def listing(console: Console, rows: Rows, indent: int = 2) -> None:
    """Print rows in columns; what is too long for the line is cut."""
    lines = list(rows)
    columns = zip_longest(*lines, fillvalue="")
    widths = [max(map(cell_len, column)) for column in columns]
    for line in lines:
        cells = map(set_cell_size, line, widths)
        text = Text(" " * indent + "  ".join(cells).rstrip())
        console.print(text, no_wrap=True, overflow="ellipsis")


def part(console: Console, title: str, rows: Rows) -> None:
    """Print a smaller title, and rows in columns below it."""
    console.print()
    console.print(f"  {title}", style="italic")
    listing(console, rows, indent=4)


def show_run(console: Console, world: World, outcome: Outcome, settings: VectorSettings) -> None:
    """Print what the run did, how fast, and what it skipped and why."""
    pages, users = outcome.pages / outcome.seconds, outcome.users / outcome.seconds
    speed = f"in {outcome.seconds:.1f} s: {pages:.1f} pages and {users:,.0f} users per second"
    rows = [
        (f"{outcome.pages:,}", f"pages {speed}"),
        (f"{outcome.users:,}", f"users were active, of {len(world.users):,}"),
        *_counted(outcome, settings),
    ]
    heading(console, "The run")
    listing(console, [(number.rjust(7), text) for number, text in rows])


def _counted(outcome: Outcome, settings: VectorSettings) -> Iterator[tuple[str, str]]:
    words = {
        "processed": "users got a vector",
        "few_posts": "users were skipped: fewer than"
        f" {settings.min_interactions} posts acted on in {settings.lookback.days} days",
        "cancelled_out": "users were skipped: their posts cancel each other out",
        "gone": "users were skipped: they are deleted",
        "failed": "users failed: the next run tries them again",
        "unknown_actions": "actions were left out: their type is unknown",
        "unusable_posts": "times a post was left out: it has no embedding",
    }
    names = [name for name in words if name in outcome.counts]
    for name in [*names, *sorted(outcome.counts.keys() - words)]:
        yield f"{outcome.counts[name]:,}", words.get(name, name)


def show_user(console: Console, world: World, outcome: Outcome, portrait: Portrait) -> None:
    """Print what one user's vector is good for, and where the cache keeps it."""
    user = portrait.user
    heading(console, f"One user, who acted {portrait.actions:,} times on {portrait.seen:,} posts")
    if world.tastes:
        listing(
            console,
            [
                ("true tastes", ", ".join(world.tastes[user])),
                ("top topics of the vector", ", ".join(portrait.topics)),
            ],
        )
    else:
        part(console, "posts nearest to the vector, by similarity", _posts(portrait.nearest))
    part(console, "best posts not seen yet, by similarity", _posts(portrait.unseen))
    shared = "tastes" if world.tastes else "posts in common"
    part(console, f"most similar users, with their {shared}", _users(portrait, world))
    part(console, "its key in Redis", [(line,) for line in _entry(user, outcome)])


def _posts(found: Iterable[Suggestion]) -> Rows:
    for suggestion in found:
        texts = (suggestion.post.topic, suggestion.post.title)
        yield f"{suggestion.similarity:.3f}", *(text for text in texts if text)


def _users(portrait: Portrait, world: World) -> Rows:
    for other in portrait.neighbours:
        shared = ", ".join(world.tastes[other.user]) if world.tastes else f"{other.common:,}"
        yield f"{other.similarity:.3f}", str(other.user), shared


def _entry(user: UUID, outcome: Outcome) -> Iterator[str]:
    yield key(user)
    entry = outcome.cached.get(key(user))
    if entry is None:
        yield "is not there"
        return
    numbers = ", ".join(f"{number:.4f}" for number in entry.vector[:FIRST_NUMBERS])
    yield f"[{numbers}, ... {len(entry.vector)} numbers]"
    yield f"expires in {timedelta(seconds=entry.ttl)}"


def show_claims(console: Console, claims: Iterable[Claim]) -> None:
    """Print what was checked, and whether it holds."""
    heading(console, "Checked")
    for claim in claims:
        mark = ("ok    ", "green") if claim.kept else ("FAILED", "bold red")
        console.print(Text.assemble("  ", mark, "  ", claim.text), soft_wrap=True)
