"""How a model learns and predicts: all that decides a number here, and nothing else."""
