"""`python -m dev.demo [FOLDER]`: the demonstration; exits 1 if a claim of it does not hold."""

import sys

try:
    from dev.demo.command import run
    from dev.demo.story import demonstrate

    sys.exit(run(demonstrate, sys.argv[1:]))
except KeyboardInterrupt:  # which may come while all that is being imported
    sys.exit(130)
