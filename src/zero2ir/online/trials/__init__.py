"""Online trials of two programs: user assignment, interleaving, and always-valid sequential tests."""
