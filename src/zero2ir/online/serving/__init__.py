"""A searcher that answers people over HTTP."""
