"""Timed comparisons of the package with a plain loop: ``python -m benchmarks --help``.

``plain.py`` is what the package is compared with, ``comparisons.py`` says in which
respects, ``timing.py`` how. To add a comparison, add a function to
``comparisons.py``.
"""
