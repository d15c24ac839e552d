"""Which arm of the experiment made vectors, by what they are stored as."""

import pytest

from lib.errors import SettingError
from lib.settings import VectorSettings
from lib.status.arms import arm, names
from lib.status.status import Arm

SETTINGS = {
    "MODEL_VERSION": "m",
    "EMBEDDING_EXPERIMENT": "one:baseline=50,recommended=30,decay@1=20",
}


@pytest.mark.parametrize(
    ("stored", "scheme", "name"),
    [
        ("m", "baseline@1", "baseline"),
        ("m/recommended@1#3", "recommended@1", "recommended"),
        ("m/recommended@1#4", "recommended@1", "recommended"),
        ("m/decay@1", "decay@1", "decay@1"),
        ("m/centred@1#4", "centred@1", None),
        ("m/decay@7", "decay@7", None),
        ("m/no-such-scheme@1", "no-such-scheme@1", None),
        ("another", "baseline@1", None),
        ("another/decay@1", "decay@1", None),
    ],
)
def test_arm_is_that_of_the_model_and_the_scheme(stored: str, scheme: str, name: str | None):
    known = names(VectorSettings.load(SETTINGS))
    assert arm(stored, 5, known) == Arm(stored, 5, scheme, name)


def test_without_an_experiment_nothing_has_a_name():
    assert names(VectorSettings.load({})) == {}


def test_experiment_of_no_known_scheme_is_a_setting_error():
    with pytest.raises(SettingError, match="EMBEDDING_EXPERIMENT: expected one of"):
        names(VectorSettings.load({"EMBEDDING_EXPERIMENT": "one:baseline=1,tarot=1"}))
