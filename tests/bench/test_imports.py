from bench.imports import Module, parse

SAID = """\
import time: self [us] | cumulative | imported package
import time:       100 |        100 |   encodings
import time:       200 |        300 | site
import time:       400 |        400 |     numpy._core
import time:       500 |        900 |   numpy
import time:        50 |         50 |     lib.errors
import time:        70 |        120 |   lib.store
import time:        80 |       1100 | api.actions.page
import time:        10 |         10 | late
"""


def test_parse_tells_who_imported_what_after_the_interpreters_own():
    assert parse(SAID) == [
        Module("numpy._core", 0.4, "numpy"),
        Module("numpy", 0.5, "api.actions.page"),
        Module("lib.errors", 0.05, "lib.store"),
        Module("lib.store", 0.07, "api.actions.page"),
        Module("api.actions.page", 0.08, None),
        Module("late", 0.01, None),
    ]


def test_modules_are_ours_by_their_first_name():
    assert [module.name for module in parse(SAID) if module.ours] == [
        "lib.errors",
        "lib.store",
        "api.actions.page",
    ]
