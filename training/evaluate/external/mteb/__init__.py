"""Our models and local benchmarks inside MTEB: its tasks, its scores."""
