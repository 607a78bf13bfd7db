"""Numbers of DICOM headers, also where a machine wrote them with decimal commas."""

import math
import re

from xctrs_tf.errors import UserError, one_line

# Kinds of values that hold numbers as text.
_TEXT = ("DS", "IS", "LO", "SH", "CS", "ST")
# 2,048 may be two thousand or two and a bit.
_AMBIGUOUS = re.compile(r"[+-]?[1-9]\d{0,2}(,\d{3})+")


def numbers(path, header, keyword):
    """Return the numbers of a field.

    Args:
        path: the file, for the message.
        header: `pydicom.Dataset`.
        keyword: name of the field.

    Returns:
        List of floats; empty where the field is missing or empty.

    Raises:
        UserError: not numbers, not finite, or a comma that may be a separator of thousands.
    """
    # --help of a program must not load pydicom.
    from pydicom.dataelem import RawDataElement

    if keyword not in header:
        return []
    # Not converted yet: pydicom refuses commas.
    element = header.get_item(keyword)
    if isinstance(element, RawDataElement) and _kind(element) in _TEXT:
        text = (element.value or b"").decode("ascii", "replace").strip("\0 ")
        parts = text.split("\\") if text else []
        return [_number(path, keyword, part.strip("\0 ")) for part in parts]
    value = header[keyword].value
    if value is None or value == "":
        return []
    values = [value] if isinstance(value, str | int | float) else list(value)
    return [_finite(path, keyword, float(each)) for each in values]


def number(path, header, keyword, default=None):
    """Return the first number of a field, or a default where there is none.

    Args:
        path: the file, for the message.
        header: `pydicom.Dataset`.
        keyword: name of the field.
        default: of a missing or empty field.

    Raises:
        UserError: as `numbers`.
    """
    found = numbers(path, header, keyword)
    return found[0] if found else default


def whole_number(path, header, keyword, default=None):
    """Return a field that holds one whole number.

    Args:
        path: the file, for the message.
        header: `pydicom.Dataset`.
        keyword: name of the field.
        default: of a missing or empty field; None where it must be there.

    Raises:
        UserError: missing without a default, or not one whole number.
    """
    found = numbers(path, header, keyword)
    if not found and default is not None:
        return default
    if len(found) != 1 or not found[0].is_integer():
        said = " and ".join(f"{value:g}" for value in found) or "missing"
        raise UserError(f"{path}: its {keyword} is {said}; one whole number is needed")
    return int(found[0])


def _kind(element):
    """Return the kind of a value; an implicit header leaves it to the dictionary."""
    from pydicom.datadict import dictionary_VR

    return dictionary_VR(element.tag) if element.VR in (None, "UN") else element.VR


def _number(path, keyword, text):
    if _AMBIGUOUS.fullmatch(text):
        raise UserError(
            f"{path}: its {keyword} is {text}, with a comma for a point or for thousands; "
            "write it with a point"
        )
    try:
        return _finite(path, keyword, float(text.replace(",", ".")))
    except ValueError as error:
        raise UserError(
            f"{path}: its {keyword} is {one_line(text, 40)!r}, which is no number; correct the "
            "header"
        ) from error


def _finite(path, keyword, value):
    if not math.isfinite(value):
        raise UserError(f"{path}: its {keyword} is {value}; correct the header")
    return value
