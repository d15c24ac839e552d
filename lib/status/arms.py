"""The experiment's arms as the settings name them, by the model and scheme of their vectors."""

from collections.abc import Mapping

from lib.embedding.label import Label
from lib.embedding.schemes import BASELINE, find_scheme
from lib.errors import EmbeddingError, SettingError
from lib.experiment import Experiment
from lib.settings import VectorSettings
from lib.status.status import Arm

type Names = Mapping[tuple[str, str], str]
"""What an arm is called, by the model and the scheme, as `name@version`."""


def names(settings: VectorSettings) -> Names:
    """Return the arms of the experiment under way, none without one; raise SettingError."""
    if settings.experiment is None:
        return {}
    try:
        arms = [arm.scheme for arm in Experiment.parse(settings.experiment).arms]
        return {(settings.model_version, find_scheme(name).label): name for name in arms}
    except EmbeddingError as error:
        raise SettingError(f"EMBEDDING_EXPERIMENT: {error}") from None


def arm(model_version: str, vectors: int, names: Names) -> Arm:
    """Return what is known of vectors that are stored as of a `model_version`."""
    label = Label.parse(model_version)
    scheme = label.scheme or BASELINE.label
    return Arm(model_version, vectors, scheme, names.get((label.model, scheme)))
