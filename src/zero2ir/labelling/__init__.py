"""Which judgments? Queries and documents are chosen, somebody judges them, and the model is fitted again."""
