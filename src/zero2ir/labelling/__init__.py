"""Active labelling: selects queries and documents to judge, collects the judgments, and refits the model."""
