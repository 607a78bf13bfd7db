"""The exception for mistakes of the user."""


class UserError(Exception):
    """Wrong input. The message is one line with the file or flag and the remedy.

    The command-line programs print the message after ``error:``, without a
    traceback, and exit with status 2.
    """
