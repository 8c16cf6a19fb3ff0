"""Results of other people: packed by them, checked here, kept beside the project's own."""
