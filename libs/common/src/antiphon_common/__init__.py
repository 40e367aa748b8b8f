"""Technical code that at least two services use. It knows no domain word: see docs/architecture.md."""
