"""Vertebrae in a CT of any size: a segmentation network over the whole scan, and what it finds."""
