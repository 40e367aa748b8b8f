"""What is broken on purpose while people use the platform, and the checker that reads what was promised."""
