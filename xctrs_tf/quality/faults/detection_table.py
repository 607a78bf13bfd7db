"""Table of detection rates, as text for a terminal and for a model card."""

_COLUMNS = ("detected", "95 % interval", "pass", "review", "fail", "PSNR lost, dB", "named")


def detection_table(detection):
    """Format detection rates as lines of columns.

    Args:
        detection: dict of `detection.detection_rates`.

    Returns:
        str of one line for each fault, and a heading.
    """
    width = max(map(len, detection)) + 2
    lines = [f"{'fault':{width}}" + "".join(f"{name:>15}" for name in _COLUMNS)]
    for fault, rates in detection.items():
        lines.append(f"{fault:{width}}" + "".join(f"{cell:>15}" for cell in _cells(rates)))
    return "\n".join(lines)


def detection_markdown(detection):
    """Format detection rates as a Markdown table.

    Args:
        detection: dict of `detection.detection_rates`.

    Returns:
        str.
    """
    rows = [("fault", *_COLUMNS), ("---",) * (len(_COLUMNS) + 1)]
    rows += [(fault, *_cells(rates)) for fault, rates in detection.items()]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _cells(rates):
    low, high = rates["interval"]
    named = "" if rates["named"] is None else f"{rates['named']:.2f}"
    return (
        f"{rates['detected']:.2f}",
        f"{low:.2f} to {high:.2f}",
        *(f"{rates[level]:.2f}" for level in ("pass", "review", "fail")),
        f"{rates['psnr_loss_db']:.2f}",
        named,
    )
