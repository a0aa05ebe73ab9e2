"""COMMANDS: arguments and help; cheap to import."""
