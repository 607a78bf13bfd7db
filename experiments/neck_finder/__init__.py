"""Programs that made the files of the neck finder and of the check of two films."""
