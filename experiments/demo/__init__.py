"""Demos: the model that comes with the package, and a training from nothing."""
