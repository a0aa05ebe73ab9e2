"""APPROVING: approvals, the site as it was last applied -> what may be done and opened."""
