"""PLANNING: a site, or files of one -> the plan."""
