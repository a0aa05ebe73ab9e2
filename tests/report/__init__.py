"""Golden texts: what people read."""
