from uuid import UUID

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib.experiment.sampling import sampled

SHARES = st.floats(0, 1)


@given(st.uuids(), SHARES)
def test_answer_is_kept_each_time_or_never(rec_id: UUID, share: float):
    assert sampled(rec_id, share) == sampled(UUID(str(rec_id)), share)


@given(st.uuids(), SHARES, SHARES)
def test_larger_share_keeps_what_a_smaller_one_keeps(rec_id: UUID, one: float, other: float):
    assert sampled(rec_id, min(one, other)) <= sampled(rec_id, max(one, other))


@given(st.uuids())
def test_none_keeps_nothing_and_all_keeps_everything(rec_id: UUID):
    assert not sampled(rec_id, 0)
    assert sampled(rec_id, 1)


@pytest.mark.parametrize("share", [0.01, 0.25, 0.9])
def test_share_is_the_share_that_is_kept(share: float):
    kept = np.mean([sampled(UUID(int=number), share) for number in range(20_000)])
    assert kept == pytest.approx(share, abs=4 * (share * (1 - share) / 20_000) ** 0.5)
