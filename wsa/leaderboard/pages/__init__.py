"""What each kind of page is filled with; the templates have the same names."""
