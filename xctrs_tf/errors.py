"""The one exception that a user's mistake may end in."""


class UserError(Exception):
    """Bad input, said in one line that names the file or flag and the mend.

    The command-line programs print the message after ``error:`` and exit with
    status 2; nothing else of a traceback reaches the user.
    """
