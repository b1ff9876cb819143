"""From a bundle of the repository to its released form, and back to a verdict on it."""
