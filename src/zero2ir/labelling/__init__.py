"""Which judgments to ask for, who gives them, and where they are kept."""
