from lib.embedding import BASELINE, RETRACTIONS, Scheme


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
