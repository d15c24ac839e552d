"""`python -m dev.up [FOLDER]`: the stack, with data, until Ctrl-C."""

import sys

try:
    from dev.demo.command import run
    from dev.demo.workbench import stay_up

    sys.exit(run(stay_up, sys.argv[1:]))
except KeyboardInterrupt:  # which is how it ends
    sys.exit(0)
