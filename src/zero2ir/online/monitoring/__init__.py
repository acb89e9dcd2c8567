"""Is what people ask, and what they get, still what it was? Windows and streams against a reference."""
