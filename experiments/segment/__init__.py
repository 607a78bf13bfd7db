"""Segmentation of C1..C7 in CT scans, and the training, test and packing of its network."""
