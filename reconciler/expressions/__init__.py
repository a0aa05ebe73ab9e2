"""EXPRESSIONS: rules of strangers -> answers, from a child process that is ended when it takes too much."""

from reconciler.expressions.parent import (
    LARGEST_EXPRESSION,
    MIB_AT_MOST,
    SECONDS_AT_MOST,
    VARIABLES,
    BadExpression,
    check,
    close,
    evaluate,
)

__all__ = [
    "LARGEST_EXPRESSION",
    "MIB_AT_MOST",
    "SECONDS_AT_MOST",
    "VARIABLES",
    "BadExpression",
    "check",
    "close",
    "evaluate",
]
