"""DESIRED: policies and clusters as seen -> who should be protected, how, and where."""
