"""What goes wrong here is one line for the person who runs the tool, and an exit code for the program."""


class Trouble(Exception):
    """Cannot go on; the text is one line that says what to do."""

    code = 1


class NotInstalled(Trouble):
    """The server's programs are not on this machine."""

    code = 3
