"""REVIEW: two states of the policies -> what differs, and whether it weakens. No server."""
