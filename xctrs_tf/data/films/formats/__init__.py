"""Film files of each format: header first, pixels once the header was found plausible."""
