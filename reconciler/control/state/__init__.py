"""STATE: backup, restore, and what is known of stores that are missing or lost."""
