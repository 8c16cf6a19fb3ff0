"""What the runs of a suite say about its claims.

reading → tables; reading → comparisons → orders, regions → verdicts; findings beside them.
`intervals` holds the statistics that both a suite and `calibration`'s simulated worlds go through,
`compare` sets two folders of results side by side.
"""
