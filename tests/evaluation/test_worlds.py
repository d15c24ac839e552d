"""Worlds as datasets, and what the vectors make of users whose tastes are known."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from dev.judge import judge, top_topics
from dev.world import World, invent
from evaluation.dataset import Dataset
from evaluation.folder import read_folder
from evaluation.split import Split
from evaluation.tastes import tastes_of
from evaluation.world import of_world
from lib.embedding.schemes import BASELINE, CENTRED, RECOMMENDED, Scheme
from tests.evaluation.folders import write_folder

NOW = datetime(2026, 5, 4, tzinfo=UTC)
MANY = 10  # posts
CLEAR = 1.5  # times as much weight as on any other topic

type Vectors = dict[object, NDArray[np.float32]]


@pytest.fixture(scope="module")
def world() -> World:
    return invent(NOW)


@pytest.fixture(scope="module")
def demo(world: World) -> Dataset:
    return of_world(world, "demo", "Made up.")


def vectors_of(demo: Dataset, world: World, scheme: Scheme) -> Vectors:
    """Return the vectors of all who acted on MANY posts, from all they did."""
    whole = np.full(demo.users, demo.actions.at.max() + 1)
    nobody = np.zeros(0, np.int64)
    embedded = demo.vectors.any(axis=1)
    split = Split("all", whole, embedded, np.zeros(0, np.intp), nobody, nobody)
    tastes = tastes_of(demo, split, scheme, np.arange(demo.users), several=False)
    rows = tastes.vectors.astype(np.float32)
    return {
        world.users[owner]: row
        for owner, row in zip(tastes.owners.tolist(), rows, strict=True)
        if tastes.posts[owner] >= MANY
    }


@pytest.mark.parametrize("scheme", [BASELINE, CENTRED, RECOMMENDED], ids=lambda s: s.label)
def test_the_strongest_taste_is_a_top_topic_of_95_in_100(
    world: World, demo: Dataset, scheme: Scheme
):
    found = judge(world, vectors_of(demo, world, scheme))
    assert found.users > 1000
    assert found.right >= 0.95
    assert found.chance < 0.2


@pytest.mark.parametrize("scheme", [BASELINE, CENTRED, RECOMMENDED], ids=lambda s: s.label)
def test_the_top_topic_is_a_true_taste_of_95_in_100(world: World, demo: Dataset, scheme: Scheme):
    vectors = vectors_of(demo, world, scheme)
    topics = top_topics(world, vectors, topics=1)
    assert np.mean([topics[user][0] in world.tastes[user] for user in vectors]) >= 0.95


@pytest.mark.parametrize("scheme", [BASELINE, CENTRED, RECOMMENDED], ids=lambda s: s.label)
def test_the_top_topic_is_the_strongest_taste_of_95_in_100_who_acted_on_it_clearly(
    world: World, demo: Dataset, scheme: Scheme
):
    """Of all, it is that of 9 in 10: the dice that drew the visits gave the others another one."""
    names = sorted({post.topic or "" for post in world.posts})
    topic_of = {post.id: names.index(post.topic or "") for post in world.posts}
    weights = {user: np.zeros(len(names)) for user in world.users}
    for action in world.actions:
        weights[action.user][topic_of[action.post]] += BASELINE.weights.get(action.type, 0.0)
    right = []
    vectors = vectors_of(demo, world, scheme)
    for user, topics in top_topics(world, vectors, topics=1).items():
        strongest = world.tastes[user][0]
        own = weights[user][names.index(strongest)]
        if own >= CLEAR * np.delete(weights[user], names.index(strongest)).max():
            right.append(topics[0] == strongest)
    assert len(right) > 0.7 * len(vectors)
    assert np.mean(right) >= 0.95


def test_a_world_keeps_its_posts_vectors_users_and_times(world: World, demo: Dataset):
    assert (np.diff([int.from_bytes(post.tobytes()) for post in demo.posts]) > 0).all()
    by_id = {post.id.bytes: place for place, post in enumerate(world.posts)}
    places = [by_id[post.tobytes()] for post in demo.posts]
    assert np.array_equal(demo.vectors, world.vectors[places])
    for row in (0, 1000, -1):
        action = world.actions[row]
        assert demo.posts[demo.actions.post[row]].tobytes() == action.post.bytes
        assert demo.types[demo.actions.kind[row]] == action.type
        assert world.users[demo.actions.user[row]] == action.user
        seconds = (action.at - datetime(2000, 1, 1, tzinfo=UTC)).total_seconds()
        assert demo.actions.at[row] / 1e6 == pytest.approx(seconds, abs=1e-5)
    assert (np.diff(demo.actions.at) >= 0).all()


def test_a_folder_keeps_its_times_and_says_where_it_comes_from(tmp_path: Path):
    found = read_folder(write_folder(tmp_path / "tiny", users=5, items=9, actions=40))
    assert found.name == "tiny"
    assert found.about.startswith("Tiny. Made up, by a test (CC0). Items have no time")
    assert found.actions.at.min() / 1e6 == 1_500_000_000 - 946_684_800  # 2000 in Unix seconds
    first = [found.actions.at[found.actions.post == post].min() for post in found.actions.post]
    assert found.created[found.actions.post].tolist() == first


def test_a_folder_without_a_readme_says_so(tmp_path: Path):
    folder = write_folder(tmp_path / "tiny", users=5, items=9, actions=40)
    (folder / "README.md").unlink()
    assert read_folder(folder).about.startswith("The folder has no README.md")
