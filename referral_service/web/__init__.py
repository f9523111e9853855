"""The doors: one module a kind of interaction. The only room that knows Flask and HTTP status numbers."""
