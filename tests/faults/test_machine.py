"""Whatever happens, in whatever order: the promises hold at each step, and the end is right.

After each step P3, P5, P6 and P7 are held, that 200 is answered for what is done, that whoever is
done has a key that is the row, and that what was erased stays so; at the end that every run ends by
itself unless a message was given up, and P1.
"""

import asyncio
from collections import Counter
from collections.abc import Coroutine, Iterator
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from dev.pooler import Pooler
from dev.postgres import Postgres
from dev.valkey import Valkey
from tests.faults.platform import POSTS, USERS
from tests.faults.traps import ROUTE
from tests.faults.world import World
from tests.scene import RARE, TYPES
from tests.tally import Tally

EXAMPLES, STEPS = 20, 25
EXAMPLES_LONG, STEPS_LONG = 500, 50

user = st.sampled_from(USERS)
post = st.sampled_from(POSTS)
place = st.integers(0, 30)
few = st.integers(0, 6)
steps = st.integers(2, 6)


class Machine(RuleBasedStateMachine):
    """One world, one example after the other; `world`, `runner` and `made` are set by the test."""

    world: World
    runner: asyncio.Runner
    tally: Tally
    made: Counter[str]
    done: list[tuple[UUID, UUID]]
    failed = False

    def do(self, what: Coroutine[Any, Any, Any]) -> Any:
        """Run a step to its end; what failed is not held at the end again."""
        try:
            return self.runner.run(what)
        except BaseException:
            self.failed = True
            raise

    def fault(self, kind: str) -> None:
        self.made[kind] += 1

    @initialize(triggers=st.booleans(), done=st.lists(st.tuples(user, post), min_size=4))
    def begin(self, *, triggers: bool, done: list[tuple[UUID, UUID]]) -> None:
        self.done = done
        self.do(self.world.begin(triggers=triggers))
        for one, what in done:
            self.do(self.world.platform.act(one, what))

    @rule(user=user, post=post, kind=st.sampled_from(TYPES + RARE))
    def act(self, user: UUID, post: UUID, kind: str) -> None:
        self.do(self.world.platform.act(user, post, kind))

    @rule(which=st.integers(0, 30), most=few)
    def retract(self, which: int, most: int) -> None:
        """Take back a like of the beginning, before the next run or in the middle of one."""
        one, what = self.done[which % len(self.done)]
        self.do(self.world.platform.act(one, what, "unlike_post"))
        self.do(self.world.mail.trigger(most))

    @rule(user=user, post=post, days=st.integers(1, 20))
    def act_late(self, user: UUID, post: UUID, days: int) -> None:
        self.fault("late")
        self.do(self.world.platform.act_late(user, post, days))

    @rule(user=user, post=post, days=st.integers(0, 20))
    def log(self, user: UUID, post: UUID, days: int) -> None:
        self.fault("late")
        self.do(self.world.log(user, post, days))

    @rule(user=user, post=post)
    def act_uncommitted(self, user: UUID, post: UUID) -> None:
        self.fault("late")
        self.do(self.world.platform.act_uncommitted(user, post))

    @rule()
    def commit(self) -> None:
        self.do(self.world.platform.commit())

    @rule(user=user, post=post, most=few)
    def act_across_a_tick(self, user: UUID, post: UUID, most: int) -> None:
        self.fault("late")
        self.do(self.world.act_across_a_tick(user, post, most))

    @rule(user=user, post=post)
    def undo(self, user: UUID, post: UUID) -> None:
        self.fault("deleted")
        self.do(self.world.platform.undo(user, post))

    @rule(user=user)
    def delete_user(self, user: UUID) -> None:
        self.fault("deleted")
        self.do(self.world.platform.delete(user))

    @rule(user=user, post=post)
    def make_again(self, user: UUID, post: UUID) -> None:
        self.do(self.world.platform.make_again(user, post))

    @rule(post=post)
    def delete_post(self, post: UUID) -> None:
        self.fault("deleted")
        self.do(self.world.platform.delete_post(post))

    @rule(post=post, number=st.integers(50, 99))
    def embed(self, post: UUID, number: int) -> None:
        self.fault("embedded")
        self.do(self.world.platform.embed(post, number))

    @rule(user=user, how=st.sampled_from(("erase", "opt_out", "opt_in")))
    def forget(self, user: UUID, how: str) -> None:
        self.do(getattr(self.world.platform, how)(user))

    @rule(most=few)
    def tick(self, most: int) -> None:
        self.do(self.world.mail.tick(most))

    @rule(most=few)
    def trigger(self, most: int) -> None:
        self.do(self.world.mail.trigger(most))

    @rule(place=place)
    def deliver(self, place: int) -> None:
        self.do(self.world.mail.deliver(place))

    @rule(places=st.lists(place, min_size=2, max_size=4))
    def deliver_at_once(self, places: list[int]) -> None:
        self.do(self.world.mail.deliver_at_once(places))

    @rule(place=place)
    def deliver_again(self, place: int) -> None:
        self.fault("repeated")
        self.do(self.world.mail.deliver_again(place))

    @rule(
        user=user,
        held_at=st.sampled_from(("upsert", "cache")),
        member=st.integers(0, 1),
        meanwhile=st.sampled_from(("act", "act", "erase", "erase", "delete")),
        posts=st.lists(post, min_size=2, max_size=4, unique=True),
    )
    def overtake(
        self, user: UUID, held_at: str, member: int, meanwhile: str, posts: list[UUID]
    ) -> None:
        """Hold one delivery of a page until another is through, of later data."""
        self.fault("overtaken")
        self.do(self.world.platform.act(user, posts[0]))
        self.do(self.world.mail.overtake(held_at, member, meanwhile, posts[1:]))

    @rule()
    def kill(self) -> None:
        self.fault("killed")
        self.world.stack.functions.kill(ROUTE)

    @rule(
        once=st.sampled_from(
            (
                "publish arrived",
                "publish stored",
                "cache arrived",
                "cache executed",
                "statement kill",
                "statement cut",
                "statement lost",
            )
        ),
        at=st.integers(1, 12),
    )
    def lay(self, once: str, at: int) -> None:
        self.fault(once.partition(" ")[0])
        self.world.traps.once, self.world.traps.at = once, at

    # a page that meets "hang" waits for 10 s
    @rule(how=st.sampled_from(("500", "cut", "nonsense", "slow") * 2 + ("hang",)), steps=steps)
    def break_redis(self, how: str, steps: int) -> None:
        self.fault("redis")
        self.world.traps.break_redis(how, steps)

    @rule(how=st.sampled_from(("500", "lost")), steps=steps)
    def break_queue(self, how: str, steps: int) -> None:
        self.fault("qstash")
        self.world.traps.break_queue(how, steps)

    @rule(steps=steps)
    def break_postgres(self, steps: int) -> None:
        self.fault("postgres")
        self.world.traps.break_postgres(steps)

    @rule()
    def terminate(self) -> None:
        self.fault("postgres")
        self.do(self.world.terminate())

    @rule()
    def rotate(self) -> None:
        """Rotate the keys, and let functions know before the next rotation comes."""
        self.fault("rotated")
        self.world.redeploy()
        self.world.stack.broker.keys.rotate()

    @rule(seconds=st.sampled_from((30, 700, 90_000)))
    def wait(self, seconds: int) -> None:
        self.world.stack.broker.clock.jump(seconds)

    @rule(user=user)
    def read(self, user: UUID) -> None:
        self.do(self.world.checks.read(user))

    @invariant()
    def promises_hold(self) -> None:
        self.world.traps.step()
        self.do(self.world.checks.hold_step())

    def teardown(self) -> None:
        failed = self.failed
        self.do(self.world.heal())
        if not failed:
            self.do(self.world.finish())
            self.do(self.world.checks.hold_letters())
            self.do(self.world.checks.hold_convergence(self.tally))


@pytest.fixture
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as made:
        yield made


@pytest.fixture
def world(
    runner: asyncio.Runner,
    postgres: Postgres,
    front: Postgres | Pooler,
    template: str,
    valkey_server: Valkey,
) -> Iterator[World]:
    """A world that one task opens and closes, as its task groups demand."""
    ready: asyncio.Future[World] = runner.get_loop().create_future()
    over = asyncio.Event()

    async def live() -> None:
        async with World.opened(postgres, front, template, valkey_server) as opened:
            ready.set_result(opened)
            await over.wait()

    async def begin() -> tuple[asyncio.Task[None], World]:
        task = asyncio.create_task(live())
        await asyncio.wait({task, ready}, return_when=asyncio.FIRST_COMPLETED)
        return task, ready.result() if ready.done() else await task

    async def end(task: asyncio.Task[None]) -> None:
        over.set()
        await task

    task, opened = runner.run(begin())
    yield opened
    runner.run(end(task))


@pytest.mark.fault(1, 2, 4, 5, 7, 8, 10, 11, 15, 16, 17, 20)
@pytest.mark.timeout(7200)
def test_whatever_happens_in_whatever_order_the_promises_hold(
    runner: asyncio.Runner,
    world: World,
    request: pytest.FixtureRequest,
    tally: Tally,
    long: bool,  # noqa: FBT001
):
    """An example that fails is printed, and comes again with --hypothesis-seed."""
    number = int(request.config.getoption("--hypothesis-seed") or tally.seed())
    made: Counter[str] = Counter()
    state = {"world": world, "runner": runner, "tally": tally, "made": made}
    machine = seed(number)(type("Seeded", (Machine,), state))
    profile = settings(
        max_examples=EXAMPLES_LONG if long else EXAMPLES,
        stateful_step_count=STEPS_LONG if long else STEPS,
        deadline=None,
        print_blob=True,
        phases=(Phase.generate,),  # shrinking takes as long again for each try: a seed repeats it
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    try:
        run_state_machine_as_test(machine, settings=profile)
    finally:
        tally.tried = made.total()
        tally.notes.append(", ".join(f"{kind} {times}" for kind, times in sorted(made.items())))
