import pytest

from lib.embedding import BASELINE, RETRACTIONS, SCHEMES, Scheme
from lib.embedding.schemes import find_scheme
from lib.errors import EmbeddingError


def test_baseline_weights_are_the_specification_s():
    assert dict(BASELINE.weights) == {
        "view_post": 1,
        "like_post": 5,
        "comment_post": 8,
        "bookmark_post": 7,
        "share_post": 10,
    }


def test_retractions_cancel_what_they_undo():
    assert dict(RETRACTIONS) == {"unlike_post": "like_post", "unbookmark_post": "bookmark_post"}


def test_known_actions_are_those_with_a_meaning_whether_or_not_they_have_a_weight():
    assert BASELINE.known_actions == {
        *BASELINE.weights,
        *RETRACTIONS,
        "dislike_post",
        "hide_post",
    }


def test_baseline_vectors_are_stored_under_the_plain_model():
    assert BASELINE.stored_as("all-MiniLM-L6-v2") == "all-MiniLM-L6-v2"


def test_vectors_of_any_other_scheme_tell_how_they_were_made():
    other = Scheme("recent", 2, BASELINE.weights)
    assert other.stored_as("all-MiniLM-L6-v2") == "all-MiniLM-L6-v2/recent@2"


@pytest.mark.parametrize("scheme", SCHEMES, ids=lambda scheme: scheme.label)
def test_scheme_is_found_by_its_name_and_by_its_label(scheme: Scheme):
    assert find_scheme(scheme.label) is scheme
    newest = max(other.version for other in SCHEMES if other.name == scheme.name)
    assert find_scheme(scheme.name).label == f"{scheme.name}@{newest}"


@pytest.mark.parametrize("text", ["", "Baseline", "baseline@2", "baseline@", "other"])
def test_scheme_that_is_not_shipped_is_refused_with_those_that_are(text: str):
    with pytest.raises(EmbeddingError) as refused:
        find_scheme(text)
    known = ", ".join(scheme.label for scheme in SCHEMES)
    assert str(refused.value) == f"expected one of {known}, got {text!r}"
