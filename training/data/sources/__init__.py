"""What shards are written from: one module a source, each with its arguments and its drafts."""
