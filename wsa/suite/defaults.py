"""What the spectral tuners take where nothing is said; known without torch or PEFT."""

from __future__ import annotations

# PEFT type → how many singular directions of a weight are tuned
RANKS = {"SPECTRAL": 8, "WSA": 16}

# τ: a direction with |g| < τ is pruned
THRESHOLD = 0.05
