"""A made-up world: users with known tastes act on the demo's posts."""

from datetime import datetime, timedelta
from uuid import UUID, uuid5

import numpy as np

from dev import posts as written
from dev.world import behaviour
from dev.world.record import NAMESPACE, Action, Post, World

UNEMBEDDED = 2  # the youngest posts


def invent(now: datetime, *, users: int = 2000, seed: int = 7) -> World:
    """Draw a world whose last 60 days end at `now`; the same arguments give the same world."""
    rng = np.random.default_rng(seed)
    texts = written.texts()
    topics = tuple(dict.fromkeys(text.topic for text in texts))
    topic_of = np.array([topics.index(text.topic) for text in texts])
    age = behaviour.draw_post_ages(rng, topic_of)

    shares = behaviour.HOW_MANY_TASTES
    liked = 1 + rng.choice(len(shares), users, p=shares)
    preferences = rng.permuted(np.tile(np.arange(len(topics)), (users, 1)), axis=1)
    visits, astray = behaviour.draw_visits(rng, liked, preferences, topic_of, age)
    reactions = behaviour.draw_reactions(rng, visits, astray)
    retractions = behaviour.draw_retractions(rng, reactions)
    log = behaviour.in_order(visits, reactions, retractions)

    vectors = np.load(written.VECTORS).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)  # float16 rounded the lengths
    vectors[np.argsort(age)[:UNEMBEDDED]] = 0.0

    people = tuple(_id("user", number) for number in range(users))
    authors = rng.integers(users, size=len(texts)).tolist()
    posts = tuple(
        Post(_id("post", number), text.title, text.topic, _before(now, age), people[author])
        for number, (text, age, author) in enumerate(zip(texts, age.tolist(), authors, strict=True))
    )
    columns = (log.user.tolist(), log.post.tolist(), log.kind.tolist(), log.age.tolist())
    actions = tuple(
        Action(people[user], posts[post].id, behaviour.TYPES[kind], _before(now, age))
        for user, post, kind, age in zip(*columns, strict=True)
    )
    tastes = {
        person: tuple(topics[topic] for topic in likings[:count])
        for person, likings, count in zip(people, preferences, liked, strict=True)
    }
    return World(people, posts, vectors, actions, tastes)


def _before(now: datetime, age: int) -> datetime:
    return now - timedelta(microseconds=age)


def _id(kind: str, number: int) -> UUID:
    return uuid5(NAMESPACE, f"invented {kind} {number}")
