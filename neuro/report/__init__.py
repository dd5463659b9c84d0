"""Compare backends on one graph and show what they did. Rasters need matplotlib (the "report" extra) and load it when used."""

from neuro.report.answer import Answer
from neuro.report.comparison import compare
from neuro.report.divergence import explanation_markdown, explanation_table
from neuro.report.files import answer_of, explain_first, write_explanation, write_rasters, write_tables
from neuro.report.fit import Fit, match
from neuro.report.outcome import Candidate, Comparison, Given, Group, Pair, Row
from neuro.report.tables import as_json, markdown, table

__all__ = [
    "Answer",
    "Candidate",
    "Comparison",
    "Fit",
    "Given",
    "Group",
    "Pair",
    "Row",
    "answer_of",
    "as_json",
    "compare",
    "explain_first",
    "explanation_markdown",
    "explanation_table",
    "markdown",
    "match",
    "table",
    "write_explanation",
    "write_rasters",
    "write_tables",
]
