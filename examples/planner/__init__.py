"""`make demo-planner`: a planner that asks `world_state` what would happen, and then does it."""
