"""Programs in use: serving, feedback, monitoring, trials."""
