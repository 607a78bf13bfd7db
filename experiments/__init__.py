"""The command-line programs of xctrs_tf: `python -m experiments.NAME --help`."""
