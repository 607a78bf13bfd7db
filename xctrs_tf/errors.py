"""The exception for mistakes of the user, and text that is safe to print."""


class UserError(Exception):
    """Wrong input. The message is one line with the file or flag and the remedy.

    The command-line programs print the message after ``error:``, without a
    traceback, and exit with status 2.
    """


def one_line(text, limit=2000):
    """Return text as one line of printable characters.

    Names of files, fields of films and messages of servers may hold line ends, or escape
    codes that act on a terminal. A character that cannot be printed becomes a question
    mark.

    Args:
        text: anything that `str` takes.
        limit: characters after which the text is cut off.

    Returns:
        str.
    """
    # Cut before the work, so that a message of megabytes costs nothing.
    line = " ".join(str(text)[: 4 * limit].split())
    line = "".join(letter if letter.isprintable() else "?" for letter in line)
    return line if len(line) <= limit else f"{line[:limit]} ..."
