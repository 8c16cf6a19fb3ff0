"""What the runs of a suite say about its claims.

runs → measure → estimates and comparisons → tables and claims; findings beside them; `aggregate`
writes them all. `statistics` and `bootstrap` hold what both a suite and `calibration`'s simulated
worlds go through.
"""
