"""How training and scoring are fast: see README.md. No promise of stability.

Touch it to change what a training costs, never what it computes; ``tests/core/_engine``
compares each module with the plain way to do the same.
"""
