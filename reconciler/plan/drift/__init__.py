"""DRIFT: what is desired, applied and seen -> what does not agree, in four classes."""
