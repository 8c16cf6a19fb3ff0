"""How fast the parts are, against what people would otherwise run, side by side in one process."""
