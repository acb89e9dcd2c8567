"""What happens once people use a program: serving, feedback, monitoring, trials."""
