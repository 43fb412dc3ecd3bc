"""What it costs to spread and save a run, and that it changes nothing."""
