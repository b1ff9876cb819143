"""Experiments: rows x label counts x draws x seeds as run folders, and the table that they make."""
