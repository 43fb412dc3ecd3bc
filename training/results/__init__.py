"""Every table and plot of docs/RESULTS.md, measured and written again: `make results`."""
