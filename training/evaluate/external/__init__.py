"""Public benchmarks: their published formats, the paper's protocols, and other models besides."""
