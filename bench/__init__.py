"""How fast it is: `make bench` and `make bench-scale`, and what they found."""

import lib  # noqa: F401 - it settles numpy's threads as in a function, so it must come before numpy
