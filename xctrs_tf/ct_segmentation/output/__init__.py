"""Output folder of a segmented CT: its files, surfaces and picture."""
