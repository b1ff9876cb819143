"""Data sets as users have them: what is found in their folders."""
