"""Compare backends on one graph and show what they did. Rasters need matplotlib (the "report" extra) and load it when used."""

from neuro.report.answer import Answer
from neuro.report.comparison import Candidate, Comparison, Given, Group, Row, compare
from neuro.report.files import answer_of, write_rasters, write_tables
from neuro.report.fit import Fit, match
from neuro.report.tables import as_json, markdown, table

__all__ = [
    "Answer",
    "Candidate",
    "Comparison",
    "Fit",
    "Given",
    "Group",
    "Row",
    "answer_of",
    "as_json",
    "compare",
    "markdown",
    "match",
    "table",
    "write_rasters",
    "write_tables",
]
