"""What this service talks to besides database and bus: child processes that read files nobody may trust."""
