"""What makes training and scoring fast: see README.md. It may change at any time.

Touch it to make training cheaper; what it computes is decided in ``core``, but for the
first filters of ``dictionaries``. Where there is a plain way to do the same,
``tests/core/_engine`` compares.
"""
