"""One self-contained page of everything that was compared, trained, swept and measured (Jinja2 and Plotly: the "report" extra)."""

from neuro.report.page.assemble import assemble
from neuro.report.page.document import Page
from neuro.report.page.rendering import MOST_BYTES, check_installed, render, write
from neuro.report.page.sources import Sources, read_sources

__all__ = ["MOST_BYTES", "Page", "Sources", "assemble", "check_installed", "read_sources", "render", "write"]
