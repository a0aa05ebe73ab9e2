"""JOBS: what is due or asked for -> jobs that are started, followed and recorded."""
