"""The typed JSON files that the stages leave behind, and the table of predictions."""
