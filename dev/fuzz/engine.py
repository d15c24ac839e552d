"""One target under atheris, in a process of its own: it never returns."""

import sys

import atheris

with atheris.instrument_imports(
    include=["lib", "dev.fuzz", "jwt", "json", "starlette.datastructures"]
):
    from dev.fuzz.targets import TARGETS

if __name__ == "__main__":
    name = sys.argv.pop(1)
    atheris.Setup(sys.argv, TARGETS[name])
    atheris.Fuzz()
