"""What changes the catalogue. Each function receives an open unit; the caller commits."""
