"""The types of action that a log holds, and what is odd about them."""

from collections.abc import Mapping
from difflib import get_close_matches

import numpy as np

from evaluation.dataset import Dataset
from lib.embedding import BASELINE, RETRACTIONS

SUFFIX = "_post"
LIKE_ENOUGH = 0.6


def unknown(types: Mapping[str, int]) -> Mapping[str, str | None]:
    """Return the types that mean nothing here, each with the known one it may stand for."""
    return {name: _meant(name) for name in types if name not in BASELINE.known_actions}


def _meant(name: str) -> str | None:
    """Return the known type whose stem is spelt most like this one's."""
    stem = name.strip().lower().removesuffix(SUFFIX)
    stems = sorted(
        known.removesuffix(SUFFIX) for known in BASELINE.known_actions if known[0] == stem[:1]
    )
    found = get_close_matches(stem, stems, 1, LIKE_ENOUGH)
    return found[0] + SUFFIX if found else None


def orphans(dataset: Dataset) -> Mapping[str, tuple[int, int]]:
    """Count each retraction: how often it occurs, and how often without anything to take back."""
    actions, found = dataset.actions, {}
    pairs = actions.user * len(dataset.posts) + actions.post
    keys, places = np.unique(pairs, return_inverse=True)
    for undoing, undone in RETRACTIONS.items():
        first = np.full(len(keys), len(pairs))
        targets = np.flatnonzero(np.isin(actions.kind, dataset.places(undone)))
        np.minimum.at(first, places[targets], targets)
        taking = np.flatnonzero(np.isin(actions.kind, dataset.places(undoing)))
        if len(taking):
            found[undoing] = (len(taking), int((first[places[taking]] > taking).sum()))
    return found
