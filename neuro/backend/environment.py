"""Make and find the environment of a backend that cannot live in the user's interpreter."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.machinery
import importlib.util
import json
import os
import shutil
import subprocess
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from neuro.errors import UnsupportedError

from . import interpreters

Report = Callable[[str], None]

_STAMP = "neuro-environment.json"
_CHECK_LIMIT_S = 300.0  # the first import of a simulator compiles its files: Lava's takes 10-20 s
_SHOWN = ("Collecting ", "Downloading ", "Building ", "Installing ", "Successfully ")  # of what pip prints


def home() -> Path:
    """Return the folder where environments are made: $NEURO_HOME, or neuro's in the user's cache."""
    if named := os.environ.get("NEURO_HOME"):
        return Path(named).expanduser().absolute()
    cache = os.environ.get("XDG_CACHE_HOME")
    return (Path(cache) if cache else Path.home() / ".cache") / "neuro"


@dataclass(frozen=True)
class Environment:
    """Say which interpreter and packages a backend needs.

    name: of the folder under `home() / "envs"`, and of the backend. python: version, such as "3.10". requirements: for
    pip. module: what is imported to see that it works, such as "lava.magma". imports: what else must import.
    """

    name: str
    python: str
    requirements: tuple[str, ...]
    module: str
    imports: tuple[str, ...] = ("numpy", "h5py")

    def here(self) -> bool:
        """Tell whether this interpreter has the version and the module; nothing is imported."""
        return self.python == interpreters.THIS and _findable(self.module)

    @property
    def folder(self) -> Path:
        """Return where the environment is, or would be."""
        return home() / "envs" / self.name

    def interpreter(self) -> Path:
        """Return the environment's interpreter: the one that `install` made, else one that is named and has it all.

        Raises: UnsupportedError that says what to do.
        """
        if self._is_made():
            return self._python()
        named = os.environ.get(interpreters.variable(self.python))
        if named and not self._fault(Path(named), quick=True):
            return Path(named)
        where = f"backend '{self.name}': its environment is not installed"
        try:
            interpreters.find(self.python)
        except UnsupportedError as err:
            raise UnsupportedError(
                f"{where} (got none in '{self.folder}'; need Python {self.python} with {', '.join(self.requirements)}). "
                f"First: {err} Then run 'neuro backends install {self.name}'."
            ) from err
        raise UnsupportedError(
            f"{where} (got none in '{self.folder}'; need Python {self.python} with {', '.join(self.requirements)}). "
            f"Run 'neuro backends install {self.name}'."
        )

    def install(self, report: Report = print) -> Path:
        """Make the environment, unless it is there, and return its interpreter.

        The packages are installed by pip and imported once; only then is the environment marked as made, so that one
        that was interrupted is made again. Parameters: report, called with a line of text as things go on.
        Raises: UnsupportedError if there is no such Python, or if pip or the import fails.
        """
        folder = self.folder
        folder.parent.mkdir(parents=True, exist_ok=True)
        with _lock(folder.with_name(f".{self.name}.lock"), report):
            if self._is_made() and not self._fault(self._python()):
                report(f"{self.name}: installed already in {folder}")
                return self._python()
            python = interpreters.find(self.python, download=True, report=report)
            if folder.exists():
                report(f"{self.name}: what an earlier attempt left is removed")
                shutil.rmtree(folder)
            report(f"{self.name}: environment with {python} in {folder}")
            self._call([str(python), "-I", "-m", "venv", str(folder)], lambda _: None)
            report(f"{self.name}: pip installs {', '.join(self.requirements)}")
            pip = [str(self._python()), "-I", "-m", "pip", "--disable-pip-version-check", "--no-input", "install"]
            self._call([*pip, *self.requirements], report)
            report(f"{self.name}: first import of {self.module}")
            fault = self._fault(self._python())
            if fault:
                raise UnsupportedError(
                    f"backend '{self.name}': its new environment does not work (got {fault}; need {self.module} to "
                    f"import). Look at '{folder}', then run 'neuro backends install {self.name}' again."
                )
            self._mark()
            report(f"{self.name}: installed")
        return self._python()

    def _python(self) -> Path:
        return self.folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")

    def _stamp(self) -> dict[str, str]:
        text = json.dumps([self.python, self.requirements, self.module, self.imports])
        return {"python": self.python, "sha256": hashlib.sha256(text.encode()).hexdigest()}

    def _is_made(self) -> bool:
        try:
            stamp = json.loads((self.folder / _STAMP).read_text())
        except (OSError, ValueError):
            return False
        return stamp == self._stamp() and self._python().exists()

    def _mark(self) -> None:
        unfinished = self.folder / f".{_STAMP}"
        unfinished.write_text(json.dumps(self._stamp()) + "\n")
        os.replace(unfinished, self.folder / _STAMP)

    def _fault(self, python: Path, *, quick: bool = False) -> str:
        """Return why an interpreter is not this environment's, or "".

        It really imports everything, which takes seconds; when quick it only looks whether everything is there.
        """
        wanted = (*self.imports, self.module)
        code = f"import sys\nassert sys.version.startswith('{self.python}.'), sys.version\n"
        if quick:
            code += f"from importlib.util import find_spec\nassert all(map(find_spec, {wanted!r}))\n"
        else:
            code += "".join(f"import {name}\n" for name in wanted)
        done = interpreters.attempt(python, code, _CHECK_LIMIT_S)
        if isinstance(done, str):
            return done
        return "" if done.returncode == 0 else (done.stderr.strip() or f"exit code {done.returncode}").splitlines()[-1]

    def _call(self, command: list[str], report: Report) -> None:
        """Run a command, pass on what its user would like to see, and raise with the end of what it printed."""
        env = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
        last: deque[str] = deque(maxlen=30)
        with subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=env
        ) as process:
            try:
                assert process.stdout is not None
                for line in process.stdout:
                    last.append(line.rstrip())
                    if line.strip().startswith(_SHOWN):
                        report(f"  {line.strip()}")
            except BaseException:
                process.kill()
                raise
        if process.returncode != 0:
            said = "\n".join(last)
            raise UnsupportedError(
                f"backend '{self.name}': its environment cannot be made (got exit code {process.returncode} of "
                f"'{' '.join(command)}'; need 0). Mend what it says and run 'neuro backends install {self.name}' again."
                f"\n--- end of its output ---\n{said}"
            )


def _findable(module: str) -> bool:
    """Tell whether a module could be imported, without importing the packages it is in."""
    top, *inner = module.split(".")
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError):
        return False
    name = top
    for part in inner:
        if spec is None or spec.submodule_search_locations is None:
            return False
        name = f"{name}.{part}"
        spec = importlib.machinery.PathFinder.find_spec(name, list(spec.submodule_search_locations))
    return spec is not None


@contextlib.contextmanager
def _lock(path: Path, report: Report) -> Iterator[None]:
    """Let one process at a time install; the system lets go of the lock when a process ends."""
    try:
        import fcntl
    except ImportError:  # Windows: unguarded
        yield
        return
    with open(path, "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            report("another process installs it; waiting")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
