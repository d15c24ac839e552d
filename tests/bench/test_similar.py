"""The page about similar users says what was found."""

import numpy as np

from bench.similar.__main__ import Findings, introduction, tables
from bench.similar.measure import Searching, Writing, made_up
from bench.spread import Spread

FEW = Searching(1000, Spread(2, 1, 3), Spread(1, 0.5, 2), 0.99, 1, 400)
MANY = Searching(50_000, Spread(20, 10, 30), Spread(2, 1, 4), 0.95, 60, 900)
WRITTEN = Writing(1000, Spread(30, 20, 40), Spread(33, 30, 35), Spread(840, 800, 900))
FINDINGS = Findings([FEW, MANY], WRITTEN, 100)


def test_number_of_users_above_which_the_copy_pays_follows_from_the_largest():
    said = introduction(FINDINGS)
    assert "takes 100 ms at about\n250,000 users" in said
    assert "28\ntimes as long" in said


def test_tables_hold_every_number_of_users():
    searches, writes = tables(FINDINGS)
    assert [row[0] for row in searches.rows] == ["1,000", "50,000"]
    assert searches.rows[1][3] == "0.950"
    assert writes.rows == [
        ("1,000", "30.0 (20.0 to 40.0)", "33.0 (30.0 to 35.0)", "840.0 (800.0 to 900.0)")
    ]


def test_vectors_made_up_have_length_1_and_are_the_same_each_time():
    made, again = (made_up(5, np.random.default_rng(1)) for _ in range(2))
    assert np.allclose(np.linalg.norm(made, axis=1), 1, atol=1e-6)
    assert made.tobytes() == again.tobytes()
