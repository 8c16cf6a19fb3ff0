"""What people write: suites, models, data sets and settings in YAML, typed, read and checked."""
