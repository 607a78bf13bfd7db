"""Two films of a patient from their files to the arrays that a model takes."""
