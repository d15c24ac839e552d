"""Which topics a vector points to, and which were recommended."""

from collections import Counter
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from dev.demo.answers import Feed
from dev.judge import top_topics
from dev.world import World

TOPICS = 3


def topics_of(world: World, vector: NDArray[np.float32]) -> tuple[str, ...]:
    """Return the top topics of one vector, (384,)."""
    [topics] = top_topics(world, {UUID(int=0): vector}, topics=TOPICS).values()
    return topics


def count_topics(world: World, feed: Feed) -> Counter[str]:
    """Count the recommended posts by topic."""
    topics = {post.id: post.topic for post in world.posts}
    named = (topics[one.post] for one in feed.posts)
    return Counter(topic for topic in named if topic)
