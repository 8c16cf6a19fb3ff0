"""What the runs of a suite say about its claims: tables, comparisons, verdicts, findings."""
