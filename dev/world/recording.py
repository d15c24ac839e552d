"""A recorded world: real items and what people did with them."""

import csv
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID, uuid5

import numpy as np

from dev.world.record import NAMESPACE, Action, Post, World


def load(folder: Path, now: datetime) -> World:
    """Read `interactions.csv`, `items.csv`, `item_ids.txt` and `item_embeddings.npy`.

    Times are shifted so that the last action happens at `now`. A post appears with the first action
    on it; its author is whoever shared it first. Raises ValueError if the embeddings are not one
    row of 384 per item.
    """
    titles = {row["item_id"]: row["title"] for row in _rows(folder / "items.csv")}
    items = (folder / "item_ids.txt").read_text(encoding="utf-8").split()
    vectors = np.load(folder / "item_embeddings.npy").astype(np.float32)
    if vectors.shape != (len(items), 384):
        raise ValueError(f"expected embeddings of shape ({len(items)}, 384), got {vectors.shape}")

    rows = sorted(_rows(folder / "interactions.csv"), key=lambda row: float(row["ts"]))
    shift = now - _time(rows[-1])
    actions = tuple(
        Action(
            _id("user", row["user_id"]),
            _id("post", row["item_id"]),
            row["action"],
            _time(row) + shift,
        )
        for row in rows
    )
    newest_first = actions[::-1]
    first_seen = {action.post: action.at for action in newest_first}
    authors = {action.post: action.user for action in newest_first if action.type == "share_post"}
    posts = tuple(
        Post(post, titles[item], None, first_seen.get(post, actions[0].at), authors.get(post))
        for item in items
        for post in [_id("post", item)]
    )
    users = tuple(dict.fromkeys(action.user for action in actions))
    return World(users, posts, vectors, actions, tastes={})


def _rows(path: Path) -> Iterator[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file)


def _time(row: dict[str, str]) -> datetime:
    return datetime.fromtimestamp(float(row["ts"]), UTC)


def _id(kind: str, key: str) -> UUID:
    return uuid5(NAMESPACE, f"recorded {kind} {key}")
