"""THE LOOP: observe, propose, apply, dispatch, recover. Composes the pure rooms, and handles their errors."""
