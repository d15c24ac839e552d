"""How a function is started: its source in the project, or a bundle that `vercel build` made."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

LAUNCHER = "vc__handler__python.py"

# The function's folder comes first on the path, as /var/task does.
_RUN = "import os, sys; sys.path[0] = os.getcwd(); import "


@dataclass(frozen=True, slots=True)
class Program:
    """A command, the folder it runs in and the variables it needs besides the function's own."""

    command: tuple[str, ...]
    folder: Path
    variables: Mapping[str, str] = field(default_factory=dict)


def route_of(file: str) -> str:
    """Return the path at which Vercel answers for a file below `api/`."""
    route = PurePosixPath("/", file).with_suffix("")
    return str(route.parent if route.name == "index" else route)


def function_files(root: Path) -> tuple[str, ...]:
    """List the functions below `root`: every `api/**/*.py` without a part in `_` or `.`."""
    files = (path.relative_to(root) for path in root.glob("api/**/*.py"))
    return tuple(sorted(str(file) for file in files if not _hidden(file)))


def from_source(root: Path, file: str) -> Program:
    """Run `root/file` with this interpreter and its packages."""
    path = _existing(root / file)
    return Program(
        command=(sys.executable, "-c", _RUN + "vercel_runtime.vc_init"),
        folder=root,
        variables={
            "__VC_HANDLER_MODULE_NAME": file.removesuffix(".py").replace("/", "."),
            "__VC_HANDLER_ENTRYPOINT": file,
            "__VC_HANDLER_ENTRYPOINT_ABS": str(path),
            "__VC_HANDLER_VENDOR_DIR": "_vendor",
            "__VC_HANDLER_VARIABLE_NAME": "app",
        },
    )


def from_bundle(folder: Path) -> Program:
    """Run the launcher that lies in a built bundle, with nothing but the bundle to import from."""
    _existing(folder / LAUNCHER)
    return Program(
        command=(*bare_python(), "-c", _RUN + LAUNCHER.removesuffix(".py")),
        folder=folder,
        variables={"PYTHONPATH": "_vendor", "PYTHONDONTWRITEBYTECODE": "1"},
    )


def bare_python() -> tuple[str, ...]:
    """Return the command of the interpreter this environment was made from, without packages."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    return (str(Path(sys.base_prefix, "bin", version)), "-S", "-s")


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise FileNotFoundError(f"expected a function at {path}")
    return path


def _hidden(file: Path) -> bool:
    return any(part.startswith(("_", ".")) for part in file.parts)
