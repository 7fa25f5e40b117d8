"""Timed comparisons of the package with a plain loop: ``python -m benchmarks --help``.

``plain.py`` is what the package is compared with, ``setting.py`` on what, and that both
compute the same; ``comparisons.py`` says in which respects, ``timing.py`` how. To add a
comparison, add a function to ``comparisons.py``; or to ``surroundings.py``, if it is
about other programs or memory.
"""
