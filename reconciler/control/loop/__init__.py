"""THE LOOP: tick after tick, until somebody asks to stop."""
