"""The machine: its devices, who holds them, processes, what a run will cost there."""
