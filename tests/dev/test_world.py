from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from dev import posts
from dev.world import World, invent, load

NOW = datetime(2026, 5, 4, 12, 30, tzinfo=UTC)
REAL = Path(__file__).parents[3] / "shared" / "data" / "quantum_se"
KNOWN = {
    "view_post",
    "like_post",
    "comment_post",
    "bookmark_post",
    "share_post",
    "dislike_post",
    "hide_post",
    "unlike_post",
    "unbookmark_post",
}


@pytest.fixture(scope="module")
def world() -> World:
    return invent(NOW)


@pytest.fixture(scope="module")
def recorded() -> World:
    if not REAL.is_dir():
        pytest.skip(
            "expected the real data set beside the repository, in ../shared/data/quantum_se"
        )
    return load(REAL, NOW)


def test_posts_file_holds_25_posts_in_each_of_12_topics():
    assert list(Counter(text.topic for text in posts.texts()).values()) == [25] * 12


def test_posts_file_repeats_no_title_and_no_text():
    texts = posts.texts()
    assert len({text.title.casefold() for text in texts}) == len(texts)
    assert len({text.body for text in texts}) == len(texts)


def test_posts_file_holds_short_posts():
    assert all(25 <= len(text.body.split()) <= 60 for text in posts.texts())
    assert all(1 <= len(text.title) <= 64 for text in posts.texts())


def test_posts_vectors_are_unit_length_within_float16():
    vectors = np.load(posts.VECTORS)
    assert vectors.dtype == np.float16
    assert vectors.shape == (300, 384)
    lengths = np.linalg.norm(vectors.astype(np.float64), axis=1)
    np.testing.assert_allclose(lengths, 1.0, atol=2**-11)


def test_posts_vectors_are_nearest_to_others_of_their_topic():
    vectors = np.load(posts.VECTORS).astype(np.float32)
    topics = np.array([text.topic for text in posts.texts()])
    names = np.unique(topics)
    sums = np.stack([vectors[topics == name].sum(axis=0) for name in names])
    found = []
    for vector, topic in zip(vectors, topics, strict=True):
        others = sums - np.outer(names == topic, vector)
        others /= np.linalg.norm(others, axis=1, keepdims=True)
        found.append(names[np.argmax(others @ vector)] == topic)
    assert np.mean(found) >= 0.95


def test_invention_is_the_same_for_the_same_seed():
    first, second = (invent(NOW, users=50, seed=3) for _ in range(2))
    assert (first.users, first.posts, first.actions) == (second.users, second.posts, second.actions)
    assert first.tastes == second.tastes
    np.testing.assert_array_equal(first.vectors, second.vectors)


def test_invention_is_another_for_another_seed():
    assert invent(NOW, users=50, seed=3).actions != invent(NOW, users=50, seed=4).actions


def test_invention_has_the_size_of_a_demo(world: World):
    assert len(set(world.users)) == 2000
    assert len({post.id for post in world.posts}) == 300
    assert 60_000 <= len(world.actions) <= 100_000


def test_invention_names_only_its_own_users_and_posts(world: World):
    assert {action.user for action in world.actions} <= set(world.users)
    assert {action.post for action in world.actions} <= {post.id for post in world.posts}
    assert {post.author for post in world.posts} <= set(world.users)


def test_invention_acts_in_order_within_60_days_up_to_now(world: World):
    times = [action.at for action in world.actions]
    assert times == sorted(times)
    assert NOW - timedelta(days=60) <= times[0]
    assert times[0] < NOW - timedelta(days=59)
    assert NOW - timedelta(hours=1) < times[-1] <= NOW


def test_invention_acts_on_no_post_before_it_is_there(world: World):
    posted = {post.id: post.created_at for post in world.posts}
    assert all(posted[action.post] < action.at for action in world.actions)


def test_invention_reacts_only_to_what_was_seen(world: World):
    seen = set()
    for action in world.actions:
        if action.type == "view_post":
            seen.add((action.user, action.post))
        assert (action.user, action.post) in seen


def test_invention_retracts_only_what_was_done_before(world: World):
    done = set()
    retracted = 0
    for action in world.actions:
        kind = action.type
        if kind in {"unlike_post", "unbookmark_post"}:
            retracted += 1
            assert (action.user, action.post, kind.replace("un", "", 1)) in done
        done.add((action.user, action.post, kind))
    assert retracted > 20


def test_invention_mostly_views_and_does_everything_else_too(world: World):
    counts = Counter(action.type for action in world.actions)
    assert counts.keys() == KNOWN | {"report_post"}
    assert 0.5 < counts["view_post"] / counts.total() < 0.9
    assert 0 < counts["report_post"] < 0.005 * counts.total()


def test_invention_has_users_of_every_habit(world: World):
    actions = Counter(action.user for action in world.actions)
    posts_of = defaultdict(set)
    last = {}
    for action in world.actions:
        posts_of[action.user].add(action.post)
        last[action.user] = action.at
    sparse = [user for user, seen in posts_of.items() if len(seen) < 3]
    silent = [user for user, at in last.items() if at < NOW - timedelta(days=21)]
    assert len(world.users) - len(actions) == 80
    assert len(sparse) >= 100
    assert len(silent) >= 180
    assert sum(count > 400 for count in actions.values()) >= 5
    assert np.median(list(actions.values())) < np.mean(list(actions.values())) / 1.4


def test_invention_follows_tastes_but_for_10_to_15_percent(world: World):
    topic = {post.id: post.topic for post in world.posts}
    views = [action for action in world.actions if action.type == "view_post"]
    astray = np.mean([topic[view.post] not in world.tastes[view.user] for view in views])
    assert 0.10 <= astray <= 0.15


def test_invention_follows_stronger_tastes_more(world: World):
    topic = {post.id: post.topic for post in world.posts}
    ranks = Counter(
        world.tastes[action.user].index(topic[action.post])
        for action in world.actions
        if len(world.tastes[action.user]) == 3 and topic[action.post] in world.tastes[action.user]
    )
    assert ranks[0] > 1.5 * ranks[1] > 2 * ranks[2]
    assert {len(tastes) for tastes in world.tastes.values()} == {1, 2, 3}


def test_invention_leaves_two_posts_in_use_without_embedding(world: World):
    missing = [
        post.id for post, present in zip(world.posts, world.embedded, strict=True) if not present
    ]
    assert len(missing) == 2
    assert {action.post for action in world.actions} >= set(missing)
    lengths = np.linalg.norm(world.vectors[world.embedded], axis=1)
    assert world.vectors.dtype == np.float32
    np.testing.assert_allclose(lengths, 1.0, atol=1e-6)


def test_recording_is_whole(recorded: World):
    assert len({post.id for post in recorded.posts}) == 612
    assert len(set(recorded.users)) == 555
    assert len(recorded.actions) == 5_788
    assert recorded.vectors.shape == (612, 384)
    assert recorded.embedded.all()
    assert not recorded.tastes
    assert Counter(action.type for action in recorded.actions) == {
        "comment_post": 4471,
        "bookmark_post": 706,
        "share_post": 611,
    }


def test_recording_ends_now_and_keeps_its_spans(recorded: World):
    times = [action.at for action in recorded.actions]
    assert times == sorted(times)
    assert times[-1] == NOW
    assert times[-1] - times[0] == timedelta(seconds=1535836615 - 1520812800)


def test_recording_posts_carry_titles_and_those_who_asked(recorded: World):
    assert recorded.posts[0].title == "Can a Turing machine simulate a quantum computer?"
    asked = {
        (action.post, action.user) for action in recorded.actions if action.type == "share_post"
    }
    assert {(post.id, post.author) for post in recorded.posts if post.author} == asked
    assert {post.topic for post in recorded.posts} == {None}


def test_recording_gives_every_reader_the_same_ids(recorded: World):
    again = load(REAL, NOW + timedelta(days=1))
    assert again.users == recorded.users
    assert [post.id for post in again.posts] == [post.id for post in recorded.posts]


def test_recording_refuses_embeddings_of_another_shape(tmp_path: Path):
    (tmp_path / "items.csv").write_text("item_id,title,text,lang\n1,One,One. Text,en\n")
    (tmp_path / "interactions.csv").write_text("user_id,item_id,action,ts\n5,1,like_post,1500\n")
    (tmp_path / "item_ids.txt").write_text("1\n")
    np.save(tmp_path / "item_embeddings.npy", np.ones((2, 384)))
    with pytest.raises(
        ValueError, match=r"^expected embeddings of shape \(1, 384\), got \(2, 384\)$"
    ):
        load(tmp_path, NOW)
