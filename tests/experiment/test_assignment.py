from collections import Counter
from collections.abc import Sequence
from random import Random
from uuid import UUID

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib.errors import EmbeddingError, SettingError
from lib.experiment import Arm, Experiment
from lib.experiment.comparison import sample_ratio
from lib.settings import VectorSettings
from lib.settings.variable import EXPERIMENT

RANDOM = Random(5)
USERS = [UUID(int=RANDOM.getrandbits(128), version=4) for _ in range(12_000)]
SCHEMES = [f"scheme-{place}" for place in range(8)]

shares = st.lists(st.integers(1, 1000), min_size=2, max_size=8)
some_users = st.lists(st.uuids(), min_size=1, max_size=30)


def experiment(shares: Sequence[int], name: str = "tastes") -> Experiment:
    arms = [Arm(scheme, share) for scheme, share in zip(SCHEMES, shares, strict=False)]
    return Experiment(name, tuple(arms))


def test_text_is_read_as_it_stands():
    read = Experiment.parse("2026-tastes:baseline=50,recommended@1=3")
    assert read == Experiment("2026-tastes", (Arm("baseline", 50), Arm("recommended@1", 3)))


SPELLING = "expected name:scheme=share,scheme=share, got "


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", SPELLING),
        ("tastes", SPELLING),
        ("baseline=50,decay=50", SPELLING),
        (":baseline=50,decay=50", SPELLING),
        ("tastes:baseline=50,decay=0", SPELLING),
        ("tastes:baseline=50,decay=1.5", SPELLING),
        ("tastes:baseline=50,decay", SPELLING),
        ("tastes:baseline=50, decay=50", SPELLING),
        ("tastes:baseline=50,decay=50\n", SPELLING),
        ("tastes:more:baseline=50,decay=50", SPELLING),
        ("tastes:decay=50", "expected 2 to 8 arms, got 1"),
        ("t:" + ",".join(f"s{n}=1" for n in range(9)), "expected 2 to 8 arms, got 9"),
        ("t:decay=1,decay=2", "expected arms of different schemes, got 'decay' twice"),
        ("t:decay@1=1,a=1,decay@1=2", "expected arms of different schemes, got 'decay@1' twice"),
        ("t:decay=1,decay@1=2", "expected a version on each arm of 'decay', one has none"),
        ("t:decay@2=1,decay=2", "expected a version on each arm of 'decay', one has none"),
    ],
)
def test_text_that_is_no_experiment_is_refused_with_what_was_expected(text: str, said: str):
    with pytest.raises(EmbeddingError) as refused:
        Experiment.parse(text)
    assert str(refused.value).startswith(said)


def test_eight_arms_are_not_too_many():
    arms = Experiment.parse("t:" + ",".join(f"s{n}=1" for n in range(8))).arms
    assert [arm.scheme for arm in arms] == [f"s{n}" for n in range(8)]


def test_two_versions_of_a_scheme_can_be_compared():
    assert len(Experiment.parse("t:decay@1=1,decay@2=1").arms) == 2


@given(st.from_regex(EXPERIMENT, fullmatch=True, alphabet="ab1-@=,:\n"))
def test_what_the_settings_let_through_is_read_or_names_a_scheme_twice(text: str):
    assert VectorSettings.load({"EMBEDDING_EXPERIMENT": text}).experiment == text
    try:
        read = Experiment.parse(text)
    except EmbeddingError as error:
        assert str(error).startswith(("expected arms of different", "expected a version on each"))  # noqa: PT017  # some are read
    else:
        arms = ",".join(f"{arm.scheme}={arm.share}" for arm in read.arms)
        assert f"{read.name}:{arms}" == text


@given(st.text("ab1-@=,:0\n ", max_size=30))
def test_what_the_settings_refuse_is_not_read(text: str):
    try:
        Experiment.parse(text)
    except EmbeddingError:
        return
    try:
        assert VectorSettings.load({"EMBEDDING_EXPERIMENT": text}).experiment == text
    except SettingError:
        pytest.fail(f"{text!r} is read, and no setting")


def test_assignment_stays_what_it_was_when_this_was_written():
    tastes = Experiment.parse("tastes:baseline=50,recommended=50")
    others = Experiment.parse("others:baseline=1,decay@1=2,recommended=3")
    users = [UUID(int=n) for n in range(8)]
    assert " ".join(map(tastes.arm_of, users)) == (
        "recommended baseline baseline recommended recommended baseline recommended baseline"
    )
    assert " ".join(map(others.arm_of, users)) == (
        "decay@1 recommended recommended recommended baseline decay@1 decay@1 recommended"
    )


@given(shares, some_users, st.randoms())
def test_order_of_the_arms_means_nothing(shares: list[int], users: list[UUID], random: Random):
    one = experiment(shares)
    other = Experiment(one.name, tuple(random.sample(one.arms, len(one.arms))))
    assert [one.arm_of(user) for user in users] == [other.arm_of(user) for user in users]


@given(shares, st.data(), some_users)
def test_raising_a_share_moves_users_into_that_arm_alone(
    shares: list[int], data: st.DataObject, users: list[UUID]
):
    place = data.draw(st.integers(0, len(shares) - 1))
    more = [share + 500 * (at == place) for at, share in enumerate(shares)]
    for user in users:
        before, after = experiment(shares).arm_of(user), experiment(more).arm_of(user)
        assert after in {before, SCHEMES[place]}


@given(st.lists(st.integers(1, 1000), min_size=3, max_size=8), some_users)
def test_adding_an_arm_moves_users_into_that_arm_alone(shares: list[int], users: list[UUID]):
    for user in users:
        before, after = experiment(shares[:-1]).arm_of(user), experiment(shares).arm_of(user)
        assert after in {before, SCHEMES[len(shares) - 1]}


@pytest.mark.parametrize(
    "shares", [[1, 1], [1, 9], [5, 3, 2], [1] * 8, [999_999, 333_333]], ids=str
)
def test_arms_get_their_shares_of_the_users(shares: list[int]):
    one = experiment(shares)
    counts = Counter(one.arm_of(user) for user in USERS)
    found = np.array([counts[arm.scheme] for arm in one.arms])
    likely = sample_ratio(found, np.array(shares, dtype=float))
    assert likely is not None
    assert likely > 0.01


def test_another_experiment_deals_users_out_independently():
    one, other = experiment([1, 1], "tastes"), experiment([1, 1], "others")
    pairs = Counter((one.arm_of(user), other.arm_of(user)) for user in USERS)
    likely = sample_ratio(np.array([*pairs.values()]), np.ones(4))
    assert len(pairs) == 4
    assert likely is not None
    assert likely > 0.01
