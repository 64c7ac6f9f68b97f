"""What webd keeps: one SQLite file, brought to its present form by numbered migrations."""
