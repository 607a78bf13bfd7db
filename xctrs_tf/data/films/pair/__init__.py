"""Pairs of films: cut out, checked, mended and drawn."""
