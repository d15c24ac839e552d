import json

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from lib.cache import encode

floats = st.floats(width=32, allow_nan=False, allow_infinity=False)


@settings(max_examples=200)
@given(st.lists(floats, min_size=1, max_size=20))
def test_number_is_spelt_as_short_as_its_float32_allows(numbers: list[float]):
    row = np.array(numbers, dtype=np.float32)
    text = encode(row)
    assert np.array(json.loads(text), dtype=np.float32).tobytes() == row.tobytes()
    for spelt, number in zip(text.strip("[]").split(","), row, strict=True):
        shortest = np.format_float_scientific(number, unique=True, trim="-")
        assert digits(spelt) == digits(shortest)


def digits(spelt: str) -> str:
    return spelt.lower().partition("e")[0].lstrip("-").replace(".", "").strip("0")
