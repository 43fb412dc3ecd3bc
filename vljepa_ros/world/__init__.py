"""Questions to a state, seen or imagined: what would happen, what happened, what is true."""
