"""CHECKS: documents, clusters and servers -> what contradicts, does not fit, or cannot be backed up."""
