"""What a command can end with that is nobody's bug."""


class Failure(Exception):
    """An expected failure: its text is a sentence that says what to do."""
