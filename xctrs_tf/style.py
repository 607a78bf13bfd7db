"""Shared look of pictures, pages and files: colours, display window and notices."""

NOTICE = "Not a medical device; not for diagnosis."
# Printed below every figure of a reconstruction.
FIGURE_NOTICE = (
    "Computed from the two X-ray films by a neural network that guesses what they do not show. "
    "Research only. Not for diagnosis."
)

# C1..C7 in the order of the rainbow, so that a swapped level is easy to see. RGB in [0, 1].
VERTEBRA_COLORS = (
    (0.894, 0.341, 0.294),
    (0.953, 0.627, 0.263),
    (0.910, 0.812, 0.345),
    (0.435, 0.749, 0.404),
    (0.216, 0.706, 0.722),
    (0.329, 0.514, 0.847),
    (0.635, 0.416, 0.784),
)

# Display window for bone: centre and width of the grey scale in HU.
LEVEL_HU, WIDTH_HU = 400, 1800

# Text and secondary text of figures.
INK, GREY = "#1b1f24", "#6b7178"
# Dots per inch of saved figures.
DPI = 120
