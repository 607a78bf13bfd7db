"""Published dimensions of the adult cervical spine and their variation.

Lengths are means in mm for an adult of average size, scaled and varied for each
phantom (`anatomy`). They are adapted to the ranges that these sources report,
rounded, and smoothed from level to level where samples were small:

* [Panjabi] Panjabi MM et al. Cervical human vertebrae: quantitative
  three-dimensional anatomy of the middle and lower regions. Spine 16 (1991):
  end plates, body height, canal, pedicles, spinous and transverse processes of
  C2 to C7. Facets: Panjabi MM et al. Articular facets of the human spine. Spine
  18 (1993). T1: Panjabi MM et al. Thoracic human vertebrae. Spine 16 (1991).
* [Gilad] Gilad I, Nissan M. A study of vertebra and disc geometric relations of
  the human cervical and lumbar spine. Spine 11 (1986): disc heights.
* [Doherty] Doherty BJ, Heggeness MH. The quantitative anatomy of the atlas.
  Spine 19 (1994); Quantitative anatomy of the second cervical vertebra. Spine 20
  (1995).
* [Sengul] Sengul G, Kadioglu HH. Morphometric anatomy of the atlas and axis
  vertebrae. Turkish Neurosurgery 16 (2006).
* [Harrison] Harrison DD et al. Modeling of the sagittal cervical spine as a
  method to discriminate hypolordosis. Spine 29 (2004): lordosis C2 to C7.
* [Guo] Guo GM et al. Cervical lordosis in asymptomatic individuals: a
  meta-analysis. J Orthop Surg Res 13:147 (2018).
"""

import dataclasses


@dataclasses.dataclass(frozen=True)
class VertebraMeasures:
    """Dimensions of one vertebra with a body (C3 to C7, T1, T2), in mm and degrees.

    Attributes:
        upper_width: width of the upper end plate.
        lower_width: width of the lower end plate.
        upper_depth: depth (front to back) of the upper end plate.
        lower_depth: depth of the lower end plate.
        height: height of the body.
        canal_width: width of the spinal canal.
        canal_depth: depth of the canal at the midline.
        spinous_length: back of the body to the tip of the spinous process.
        transverse_width: tip to tip of the transverse processes.
        facet_angle: tilt of the facets from the horizontal, in degrees.
        spinous_drop: distance of the spinous tip below the middle of the body.
    """

    upper_width: float
    lower_width: float
    upper_depth: float
    lower_depth: float
    height: float
    canal_width: float
    canal_depth: float
    spinous_length: float
    transverse_width: float
    facet_angle: float
    spinous_drop: float


# [Panjabi]; the drop of the spinous process is measured on lateral radiographs.
SUBAXIAL = {
    "C3": VertebraMeasures(15.8, 17.2, 15.0, 15.6, 11.3, 22.8, 15.8, 31.0, 50.0, 47.0, 12.0),
    "C4": VertebraMeasures(16.6, 17.6, 15.3, 15.9, 11.2, 23.6, 15.6, 31.0, 50.0, 45.0, 12.5),
    "C5": VertebraMeasures(17.5, 19.2, 15.6, 17.0, 11.1, 24.2, 15.6, 32.5, 50.5, 44.0, 14.0),
    "C6": VertebraMeasures(18.9, 21.4, 16.4, 17.6, 11.2, 24.6, 15.7, 36.0, 53.0, 45.0, 16.5),
    "C7": VertebraMeasures(21.4, 23.4, 17.4, 17.4, 12.6, 24.0, 15.3, 47.0, 65.0, 52.0, 24.5),
    "T1": VertebraMeasures(24.5, 27.5, 17.0, 18.2, 14.8, 21.8, 15.6, 49.5, 73.0, 62.0, 31.0),
    "T2": VertebraMeasures(25.0, 27.0, 18.0, 19.5, 16.0, 19.0, 15.2, 50.0, 68.0, 70.0, 34.0),
}

# [Gilad]: heights of the discs at their centre, named by the vertebra above.
DISC_HEIGHT = {"C2": 3.7, "C3": 3.9, "C4": 4.0, "C5": 4.0, "C6": 4.2, "C7": 4.2, "T1": 4.0}


@dataclasses.dataclass(frozen=True)
class AtlasMeasures:
    """Dimensions of C1 in mm ([Doherty], [Sengul])."""

    width: float = 76.0
    inner_width: float = 29.0
    foramen_distance: float = 52.0
    anterior_arch_thickness: float = 6.4
    anterior_arch_height: float = 11.5
    posterior_arch_thickness: float = 6.8
    posterior_arch_height: float = 8.5
    mass_height: float = 18.5
    canal_depth: float = 30.5


@dataclasses.dataclass(frozen=True)
class AxisMeasures:
    """Dimensions of C2 in mm ([Doherty], [Panjabi])."""

    total_height: float = 36.0
    dens_height: float = 15.5
    dens_width: float = 10.2
    dens_depth: float = 11.0
    lower_width: float = 17.5
    lower_depth: float = 15.6
    facet_width: float = 46.0
    canal_width: float = 24.0
    canal_depth: float = 19.5
    spinous_length: float = 33.5
    transverse_width: float = 53.0
    foramen_distance: float = 34.0


ATLAS = AtlasMeasures()
AXIS = AxisMeasures()

# [Panjabi], [Doherty]: factors on the lengths above. Their ratio is that of the means of the
# sexes; with them phantoms are on average 4 % smaller than the lengths above.
SEX_SCALE = {"female": 0.93, "male": 0.99}

# Mean and standard deviation, between the 26.9 (9.7) degrees of [Harrison] and the
# 12.7 degrees (Cobb) of [Guo]; straight and kyphotic necks occur.
LORDOSIS_DEG = (20.0, 11.0)
