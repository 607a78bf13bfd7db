"""Airways with their walls and cartilages, as columns (see `columns`).

Positions and sizes are estimated by eye from CT.
"""

from xctrs_tf.data.phantom.tissues.columns import Column

NASOPHARYNX = Column(((-0.9, 0, -40, 11, 9), (0.2, 0, -38, 13, 9), (1.0, 0, -35, 12, 5)), power=2.6)
OROPHARYNX = Column(
    (
        (0.9, 0, -34, 11, 4),
        (1.6, 0, -34, 13, 5),
        (2.6, 0, -37, 14, 7.5),
        (3.4, 0, -38, 13, 7),
        (4.0, 0, -39, 9, 6),
    ),
    power=2.4,
)
LARYNX = Column(
    (
        (3.7, 0, -39, 9, 7),
        (4.5, 0, -42, 6, 8),
        (5.2, 0, -44, 2.6, 9),
        (5.7, 0, -42, 6, 8.5),
        (6.3, 0, -40, 8, 8.5),
    )
)
TRACHEA = Column(
    ((6.0, 0, -40, 8, 8.5), (7, 0, -38, 8.6, 8.6), (9, 0, -36, 9, 8.6), (13, 0, -33, 9, 8.6))
)
AIRWAYS = (NASOPHARYNX, OROPHARYNX, LARYNX, TRACHEA)
PIRIFORM = Column(((3.8, 13, -37, 3, 5), (4.6, 14, -37, 4, 5), (5.2, 12, -36, 2, 3)), -25)
EPIGLOTTIS = Column(((2.9, 0, -43, 9, 1.4), (3.5, 0, -44, 9, 1.6), (4.1, 0, -46, 5, 1.8)))
THYROID_CARTILAGE = Column(
    ((4.0, 12, -46, 1.9, 13), (5.0, 11, -46, 2.1, 15), (5.7, 11, -44, 1.9, 12)), -28
)
CRICOID = Column(
    ((5.4, 0, -32, 11, 4), (5.8, 0, -35, 12.5, 8), (6.0, 0, -40, 12, 12), (6.4, 0, -40, 11, 11.5))
)
