"""Compare backends on one graph and show what they did. Rasters need matplotlib (the "report" extra) and load it when used."""

from neuro.report.comparison import Candidate, Comparison, Given, Group, Row, compare
from neuro.report.fit import Fit, match
from neuro.report.tables import as_json, markdown, table

__all__ = [
    "Candidate",
    "Comparison",
    "Fit",
    "Given",
    "Group",
    "Row",
    "as_json",
    "compare",
    "markdown",
    "match",
    "table",
]
