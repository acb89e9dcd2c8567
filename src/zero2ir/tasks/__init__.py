"""What differs between tasks: what their judgments are, and which measures matter."""
