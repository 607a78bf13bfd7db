"""Pairs of films: cut out, checked, aligned and drawn."""
