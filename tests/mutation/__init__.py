"""How many small mistakes the tests notice: ``python -m tests.mutation --count 50 --seed 0``.

Each mutant is one such mistake in a copy of the repository, in a file of ``common`` or of a bundle. The test files that
mirror that file run on it until one fails (the mutant is killed) or all pass (it survives).
"""
