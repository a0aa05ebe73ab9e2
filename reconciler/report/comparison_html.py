"""A comparison of two states of the policies -> HTML in one file; what it shows comes escaped."""

from __future__ import annotations

from reconciler.model.comparison import Comparison
from reconciler.report.comparison import SIGNS, by_risk, summary
from reconciler.report.pages import page


def comparison_html(comparison: Comparison) -> str:
    """The whole page, the gravest change first."""
    return page(
        "comparison.html",
        title="What this change does to protection",
        comparison=comparison,
        changes=by_risk(comparison.changes),
        summary=summary(comparison),
        signs=SIGNS,
    )
