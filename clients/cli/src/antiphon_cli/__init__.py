"""The `antiphon` command: it speaks only the public API, and starts the embedded platform."""
