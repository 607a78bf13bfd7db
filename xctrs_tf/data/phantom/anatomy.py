"""Anatomy of a phantom: every parameter, drawn by seed."""

import dataclasses

import numpy as np

from xctrs_tf.data.phantom import measurements

LEVELS = ("C1", "C2", "C3", "C4", "C5", "C6", "C7", "T1", "T2")
# The levels with a body, and for each of them the level above it.
COLUMN = LEVELS[1:]
ABOVE = dict(zip(COLUMN[1:], COLUMN[:-1], strict=True))
# Standard deviation of a length beside the scale of the whole neck, as a share.
_DEVIATION = 0.035


@dataclasses.dataclass(frozen=True)
class Anatomy:
    """Sampled parameters of one phantom.

    Attributes:
        seed: seed of all parameters.
        sex: ``"female"`` or ``"male"``.
        scale: factor on the lengths of `measurements`.
        lordosis_deg: Cobb angle between the lower end plates of C2 and C7;
            negative means kyphotic.
        lordosis_share: how the angle is shared among the five discs (sums to 1).
        c7_slope_deg: forward tilt of C7 against the horizontal.
        head_extension_deg: backward tilt of the skull against the horizontal; C1
            lies halfway between skull and C2.
        axial_rotation_deg: C2 against C7, positive to the left.
        atlas_rotation_deg: C1 against C2.
        lateral_bend_deg: C2 against C7, positive to the left.
        atlas: `measurements.AtlasMeasures` of C1.
        axis: `measurements.AxisMeasures` of C2.
        subaxial: level to `measurements.VertebraMeasures`, C3 to C7, T1, T2.
        disc_height_mm: disc (named by the vertebra above) to its height.
        degeneration: disc to wear from 0 (healthy) to 1 (collapsed, with osteophytes
            and sclerosis).
        asymmetry: level to relative size (left, right) of its posterior parts.
        jitter_mm: level to a small shift (x, y) against its neighbours.
        spinous_bend_mm: level to the distance of its spinous tip from the midline.
        cortex_hu: CT number of compact bone.
        core_hu: CT number of cancellous bone.
        fat_mm: thickness of the fat under the skin at the side of the neck.
        muscle: girth of the muscles relative to the mean.
        airway: width of the airways relative to the mean.
        blood_hu: CT number of the large vessels, higher with contrast medium.
    """

    seed: int
    sex: str
    scale: float
    lordosis_deg: float
    lordosis_share: tuple
    c7_slope_deg: float
    head_extension_deg: float
    axial_rotation_deg: float
    atlas_rotation_deg: float
    lateral_bend_deg: float
    atlas: measurements.AtlasMeasures
    axis: measurements.AxisMeasures
    subaxial: dict
    disc_height_mm: dict
    degeneration: dict
    asymmetry: dict
    jitter_mm: dict
    spinous_bend_mm: dict
    cortex_hu: float
    core_hu: float
    fat_mm: float
    muscle: float
    airway: float
    blood_hu: float


def _normal(rng, mean, deviation, limit=2.0):
    """Draw from a normal distribution, clipped to ``limit`` standard deviations."""
    return float(mean + deviation * np.clip(rng.standard_normal(), -limit, limit))


def _vary(rng, measures, scale):
    """Scale every length, each also by a random few per cent, and vary the angles."""
    values = {}
    for field in dataclasses.fields(measures):
        value = getattr(measures, field.name)
        if field.name == "facet_angle":
            values[field.name] = _normal(rng, value, 3.0)
        else:
            values[field.name] = value * scale * _normal(rng, 1.0, _DEVIATION)
    return type(measures)(**values)


def _degeneration(rng):
    """Draw the wear of each disc: about every second spine is worn, mostly C5/C6 and C6/C7."""
    susceptibility = {"C2": 0.1, "C3": 0.3, "C4": 0.6, "C5": 1.0, "C6": 0.9, "C7": 0.3, "T1": 0.2}
    worn = max(0.0, _normal(rng, 0.15, 0.45))
    return {
        level: float(np.clip(worn * weight * rng.uniform(0.4, 1.4), 0.0, 1.0))
        for level, weight in susceptibility.items()
    }


def sample(seed):
    """Draw the anatomy of a phantom.

    Args:
        seed: non-negative integer; the same seed gives the same anatomy.

    Returns:
        `Anatomy`.
    """
    rng = np.random.default_rng([seed, 0])
    sex = "female" if rng.random() < 0.5 else "male"
    scale = measurements.SEX_SCALE[sex] * _normal(rng, 1.0, 0.025)
    lordosis = _normal(rng, *measurements.LORDOSIS_DEG, limit=2.3)
    share = rng.dirichlet(np.full(5, 12.0))
    degeneration = _degeneration(rng)
    discs = {
        level: height * scale * _normal(rng, 1.0, 0.07) * (1 - 0.45 * degeneration[level])
        for level, height in measurements.DISC_HEIGHT.items()
    }
    density = _normal(rng, 0.0, 1.0)
    return Anatomy(
        seed=int(seed),
        sex=sex,
        scale=scale,
        lordosis_deg=lordosis,
        lordosis_share=tuple(float(s) for s in share),
        # A steep thoracic inlet is correlated with a deep lordosis.
        c7_slope_deg=_normal(rng, 9.0 + 0.55 * lordosis, 4.0),
        head_extension_deg=_normal(rng, 6.0, 5.0),
        axial_rotation_deg=_normal(rng, 0.0, 3.0),
        atlas_rotation_deg=_normal(rng, 0.0, 4.0),
        lateral_bend_deg=_normal(rng, 0.0, 2.5),
        atlas=_vary(rng, measurements.ATLAS, scale),
        axis=_vary(rng, measurements.AXIS, scale),
        subaxial={
            level: _vary(rng, measures, scale) for level, measures in measurements.SUBAXIAL.items()
        },
        disc_height_mm=discs,
        degeneration=degeneration,
        asymmetry={level: (_normal(rng, 1.0, 0.03), _normal(rng, 1.0, 0.03)) for level in LEVELS},
        jitter_mm={level: (_normal(rng, 0.0, 0.3), _normal(rng, 0.0, 0.35)) for level in LEVELS},
        spinous_bend_mm={level: _normal(rng, 0.0, 1.2) for level in LEVELS},
        cortex_hu=1150.0 + 120.0 * density,
        core_hu=345.0 + 55.0 * density,
        fat_mm=float(np.exp(_normal(rng, np.log(5.0), 0.45))),
        muscle=_normal(rng, 1.06 if sex == "male" else 0.95, 0.05),
        airway=_normal(rng, 1.0, 0.12),
        blood_hu=float(rng.choice([45.0, 160.0], p=[0.6, 0.4])),
    )
