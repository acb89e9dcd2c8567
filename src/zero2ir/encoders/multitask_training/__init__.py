"""One encoder that learns several tasks at once: what each learns from, its loss, and how they take turns."""
