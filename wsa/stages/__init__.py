"""One file a stage: each is a command, and a rule of the workflow."""
