"""From recordings and simulated streams to batches."""
