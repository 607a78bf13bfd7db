"""Calibration as `quality.calibration.calibrate` gives it, with made-up numbers."""


def plain_reference():
    """Return a valid quality reference of few checks."""
    film = {
        "thumbnail": [[0.5] * 32] * 32,
        "quantiles": [0.5] * 33,
        "contrast": -2.0,
        "noise": -4.0,
    }
    rates = {
        "patients": 9,
        **{"pass": 1.0, "review": 0.0, "fail": 0.0, "detected": 0.0},
        **{"interval": [0.0, 0.3], "psnr_loss_db": 0.0, "named": None},
    }
    return {
        "format": "xctrs-quality/3",
        "film_normalization": "percentile",
        "films": {"ap": film, "la": film},
        "anatomy": {"volume": {"C3": [8.5, 0.2]}, "spacing": {"C3-C4": [2.8, 0.1]}},
        "thresholds": {
            "ap_likeness": {"mean": 0.9, "count": 9, "review": [0.5, None], "fail": [0.2, None]},
            "ap_zoom": {"mean": 0.0, "count": 9, "review": [-0.2, 0.2], "fail": [-0.4, 0.4]},
        },
        "held_out": 9,
        "training": 9,
        "false_alarm_rate": {"asked": 0.05, "leave_one_out": 0.0, "interval": [0.0, 0.3]},
        "detection": {"none": rates},
        "foreign": [],
    }
