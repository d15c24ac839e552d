"""What a person gets to see of a visit."""

from collections.abc import Iterator, Mapping
from uuid import UUID

from rich.console import Console

from dev.demo.answers import Feed, Reason
from dev.demo.report import Rows, heading, listing, part
from dev.demo.topics import count_topics, topics_of
from dev.demo.visit import ACTION, RESPONSE, Moment, Visit
from dev.world import Post, World

FIRST = 3
MOST_FREQUENT = 4

FEED = "GET /api/users/{id}/recommendations, the first of them, by score and variety"


def show_visit(console: Console, world: World, visit: Visit) -> None:
    """Print what was asked of the routes, and what they answered."""
    posts = {post.id: post for post in world.posts}
    discovery, taste = visit.discovery, visit.taste
    why = f"the strongest of the {taste.why.posts} posts behind the vector"
    heading(console, "The same user, over HTTP")
    part(console, "POST /api/actions/log", _logged(visit))
    part(console, FEED, _feed(discovery.feed, posts))
    listing(console, [*_topics(world, visit, discovery.feed), _response(visit)], indent=4)
    part(console, "the schedule fires again", _run(world, visit))
    part(console, FEED, _feed(taste.feed, posts))
    listing(console, _topics(world, visit, taste.feed), indent=4)
    part(console, "GET /api/users/{id}/similar, and /similarity/{other}", _similar(visit, posts))
    part(console, f"GET /api/users/{{id}}/embedding?why=1, {why}", _why(visit, posts))
    part(console, "DELETE /api/users/{id}/embedding, by the admin", _moments(visit))


def _logged(visit: Visit) -> Rows:
    once, again = visit.discovery.logged
    topic = visit.errand.topic
    what = (
        f"posts about {topic}, new to this user" if topic else "posts far from what this user knows"
    )
    yield (
        f"stored {once.stored}, repeated {once.repeated}",
        f"{ACTION} on {len(visit.errand.posts)} {what}",
    )
    yield f"stored {again.stored}, repeated {again.repeated}", "the same call once more"


def _feed(feed: Feed, posts: Mapping[UUID, Post]) -> Rows:
    yield "score", "= taste", "+ fresh", "+ popular"
    for one in feed.posts[:FIRST]:
        taste, fresh, popular = one.similarity, one.freshness, one.popularity
        numbers = f"{one.score:.3f}", f"  {taste:.3f}", f"  {fresh:.3f}", f"  {popular:.3f}"
        yield *numbers, *_texts(posts[one.post])


def _texts(post: Post) -> Iterator[str]:
    return (text for text in (post.topic, post.title) if text)


def _topics(world: World, visit: Visit, feed: Feed) -> Iterator[tuple[str, ...]]:
    topic, counts = visit.errand.topic, count_topics(world, feed)
    if topic:
        most = ", ".join(f"{name} {count}" for name, count in counts.most_common(MOST_FREQUENT))
        yield (f"of all {len(feed.posts)}: {topic} {counts[topic]}; most often {most}",)


def _response(visit: Visit) -> tuple[str, ...]:
    stored = visit.discovery.response.stored
    return (f"{RESPONSE} on the first, logged with the answer's rec_id: stored {stored}",)


def _run(world: World, visit: Visit) -> Rows:
    run, errand = visit.run, visit.errand
    yield (f"users active since, or due: {run.users:,}",)
    if errand.topic:
        before, after = errand.vector, run.vectors[errand.user]
        topics = (", ".join(topics_of(world, vector)) for vector in (before, after))
        yield ("top topics of the vector: {}; now: {}".format(*topics),)


def _similar(visit: Visit, posts: Mapping[UUID, Post]) -> Rows:
    named: set[UUID] = set()
    for one in visit.taste.similar:
        example = next((post for post in one.posts if post not in named), None)
        first = f", such as {posts[example].title}" if example else ""
        named |= {example} if example else set()
        yield f"{one.similarity:.3f}", str(one.user), f"{one.shared} posts in common{first}"
    if visit.taste.compared is not None:
        yield f"{visit.taste.compared:.3f}", "the first of them, compared alone"


def _why(visit: Visit, posts: Mapping[UUID, Post]) -> Rows:
    for reason in visit.taste.why.reasons[:FIRST]:
        yield f"{reason.share:.1%}".rjust(5), *_texts(posts[reason.post]), _actions(reason)


def _actions(reason: Reason) -> str:
    ordered = sorted(reason.actions.items(), key=lambda action: (-action[1], action[0]))
    return ", ".join(f"{count} {name.removesuffix('_post')}" for name, count in ordered)


def _moments(visit: Visit) -> Rows:
    for name, moment in zip(("before", "after", "a run later"), visit.moments, strict=True):
        yield name, *_moment(moment)


def _moment(moment: Moment) -> Iterator[str]:
    yield f"GET: {moment.answer.status} {moment.answer.reason}".rstrip()
    yield f"rows about them: {moment.remains.rows}"
    yield f"key in Redis: {'there' if moment.remains.cached else 'gone'}"
