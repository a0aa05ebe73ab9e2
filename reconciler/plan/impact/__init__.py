"""IMPACT: a change, the points that there are -> which of them expire, and when."""
