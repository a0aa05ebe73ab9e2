"""DRIFT: a site -> what does not agree, since when, and what is being changed just now."""
