"""Rule for ids of patients, which name files and folders."""

import unicodedata

from xctrs_tf.errors import UserError

# The temporary file or folder beside an id's own has a longer name; systems allow 255 bytes.
MAX_ID_BYTES = 200
_SIGNS = " ._-+,=@()[]"


def normalise_id(name):
    """Return an id with its letters composed (Unicode NFC)."""
    return unicodedata.normalize("NFC", name)


def id_key(name):
    """Return a text that is equal for ids that name one file on some file systems.

    Some do not distinguish case or Unicode composition.
    """
    return normalise_id(name).casefold()


def check_id(name):
    """Refuse an id that cannot name a file in the folder it belongs to.

    Args:
        name: the id.

    Returns:
        The id.

    Raises:
        UserError: not a text, empty, too long, or with a character that is not allowed,
            such as those that lead to another folder.
    """
    if not isinstance(name, str) or not is_id(name):
        shown = name[:MAX_ID_BYTES] if isinstance(name, str) else name
        raise UserError(
            f"id {shown!r}: no plain file name; use up to {MAX_ID_BYTES} letters, digits and "
            f"{_SIGNS.strip()}, with a letter, a digit or _ first"
        )
    return name


def is_id(name):
    """Return whether a text is an id as `check_id` wants it."""
    # A lone surrogate stands for a byte that is not UTF-8. It is no letter.
    return (
        bool(name)
        and (name[0] == "_" or unicodedata.category(name[0])[0] in "LN")
        and name[-1] not in " ."
        and all(letter in _SIGNS or unicodedata.category(letter)[0] in "LMN" for letter in name)
        and len(name.encode()) <= MAX_ID_BYTES
    )
