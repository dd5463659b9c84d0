"""Write a page as one HTML file that needs nothing else: template, style, scripts, data, and Plotly itself."""

from __future__ import annotations

import base64
import hashlib
import json
import math
import os
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from neuro.errors import UnsupportedError
from neuro.report.page.document import Page

SCRIPTS = ("core", "tables", "raster", "activity", "energy", "tradeoff", "answers", "training", "connectivity")
"""What the page runs after Plotly, in this order."""
MOST_BYTES = 8_000_000
"""A page stays below this: it is opened from a mail or a repository."""
_ESCAPES = {ord(c): f"\\u{ord(c):04x}" for c in "<>&\u2028\u2029"}


def check_installed() -> None:
    """Raise UnsupportedError, before anything is read, if a package that writes the page is missing."""
    missing = [name for name in ("jinja2", "plotly") if find_spec(name) is None]
    if missing:
        raise UnsupportedError(
            f"report: package missing (got no {' and no '.join(missing)}; need the report extra). Install it with: pip install 'neuro[report]'"
        )


def render(page: Page) -> str:
    """Return the page as HTML.

    Nothing that a graph, a recording or a folder holds can become markup or script: the template escapes text, the data are JSON with
    <, > and & escaped, the scripts set text alone, and a content security policy allows the page's own scripts by their hash, no
    other, and no request.
    """
    import jinja2  # the report extra
    from plotly.offline import get_plotlyjs

    scripts = [_script(get_plotlyjs()), _script("\n".join(_asset(f"{name}.js") for name in SCRIPTS))]
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_asset),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html").render(
        page=page, style=_asset("page.css"), scripts=scripts, policy=_policy(scripts), figures=as_json(page.figures)
    )


def write(page: Page, path: Path) -> int:
    """Write the page under a temporary name, rename it, and return its size in bytes."""
    data = render(page).encode("utf-8", errors="replace")  # a name may hold half a surrogate pair
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_bytes(data)
    temporary.replace(path)
    return len(data)


def as_json(value: object) -> str:
    """Return JSON that cannot end the script element it stands in; numbers that JSON cannot hold are null."""
    return json.dumps(_plain(value), separators=(",", ":"), allow_nan=False).translate(_ESCAPES)


def _plain(value: Any) -> Any:
    """Turn dataclasses and tuples into what JSON has; lists of numbers stay as they are."""
    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: _plain(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return value if value and all(type(x) is int for x in value) else [_plain(x) for x in value]
    if isinstance(value, np.generic):
        return _plain(value.item())
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _asset(name: str) -> str:
    return files("neuro.report.page").joinpath("assets").joinpath(name).read_text(encoding="utf-8")


def _script(text: str) -> str:
    """Return a script so that no text within it ends or reopens its element, with one kind of line end, as it is hashed."""
    return text.replace("\r\n", "\n").replace("</script", "<\\/script").replace("<!--", "<\\!--")


def _policy(scripts: list[str]) -> str:
    hashes = (base64.b64encode(hashlib.sha256(s.encode("utf-8")).digest()).decode("ascii") for s in scripts)
    allowed = " ".join(f"'sha256-{h}'" for h in hashes)
    return f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data: blob:; base-uri 'none'; form-action 'none'"
