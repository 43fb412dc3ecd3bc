"""One module a benchmark: its published format, its candidates and its query."""
