"""Compare backends on one graph, and models on one task, and show what they did. Rasters need matplotlib (the "report" extra) and load it when used."""

from neuro.report.answer import Answer, Answers
from neuro.report.comparison import compare
from neuro.report.dense import Dense
from neuro.report.divergence import explanation_markdown, explanation_table
from neuro.report.files import answer_of, explain_first, write_explanation, write_rasters, write_tables
from neuro.report.fit import Fit, match
from neuro.report.model_comparison import compare_models, task_params
from neuro.report.model_files import folder_names, write_models
from neuro.report.model_tables import models_json, models_markdown, models_table
from neuro.report.models import Entry, Model, Models
from neuro.report.outcome import Candidate, Comparison, Given, Group, Pair, Row
from neuro.report.place import check_place
from neuro.report.prices import DEVICES, Refused
from neuro.report.tables import as_json, markdown, table

__all__ = [
    "DEVICES",
    "Answer",
    "Answers",
    "Candidate",
    "Comparison",
    "Dense",
    "Entry",
    "Fit",
    "Given",
    "Group",
    "Model",
    "Models",
    "Pair",
    "Refused",
    "Row",
    "answer_of",
    "as_json",
    "check_place",
    "compare",
    "compare_models",
    "explain_first",
    "explanation_markdown",
    "explanation_table",
    "folder_names",
    "markdown",
    "match",
    "models_json",
    "models_markdown",
    "models_table",
    "table",
    "task_params",
    "write_explanation",
    "write_models",
    "write_rasters",
    "write_tables",
]
