"""Define what a page says: claims with their evidence, tables, figures. Plain data, ready for the template."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from neuro.report.page.numbers import NONE

Mark = Literal["good", "bad", "open", "plain"]


@dataclass(frozen=True, kw_only=True)
class Claim:
    """One sentence of the verdict. section: id of the part that shows why."""

    mark: Mark
    title: str
    text: str
    section: str
    details: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Column:
    """A column of a table. unit: of its numbers in the CSV, which are not rounded; shown: in the page, or in the CSV alone."""

    title: str
    unit: str = ""
    number: bool = True
    shown: bool = True


@dataclass(frozen=True)
class Cell:
    """What stands in a cell. value: what it is sorted by and what the CSV holds; None where there is no number. below: a small second line."""

    text: str
    value: float | str | None = None
    mark: Mark | Literal[""] = ""
    below: str = ""

    @property
    def sort(self) -> str:
        """Return the value as the page's attribute holds it."""
        return "" if self.value is None else repr(self.value) if isinstance(self.value, float) else str(self.value)


def cell(text: str, mark: Mark | Literal[""] = "") -> Cell:
    """Return a cell of text."""
    return Cell(text, text, mark)


def figure(value: float | None, text: str, below: str = "") -> Cell:
    """Return a cell of a number; without one it is a dash."""
    return Cell(NONE) if value is None else Cell(text, float(value), "", below)


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table that can be sorted and downloaded. name: of its CSV file."""

    id: str
    name: str
    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Fact:
    """A line of the record of how the page came about. code: set in a fixed-width face."""

    name: str
    text: str
    code: bool = False


@dataclass(frozen=True, kw_only=True)
class Page:
    """A whole page.

    sections: ids and titles of the parts that this page has. tables: by id. sources: by device, what its figures rest on. figures: what the scripts draw,
    JSON.
    """

    title: str
    kicker: str
    subtitle: str
    claims: tuple[Claim, ...]
    sections: tuple[tuple[str, str], ...]
    tables: Mapping[str, Table]
    facts: tuple[Fact, ...]
    sources: Mapping[str, tuple[str, ...]]
    figures: Mapping[str, Any] = field(repr=False)
