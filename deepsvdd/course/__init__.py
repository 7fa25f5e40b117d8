"""A course in a box: assignments built, checked and graded from one source each.

Touch it to change how marks are given (``grade``), what students see of it
(``feedback``), or what a submission may look like (``submission``; ``batch`` for a
folder of them).

``source`` reads an assignment, ``submission`` recognizes its cells in a notebook that
is handed in, ``worker`` runs cells in a fenced process, ``grade`` turns what they did
into marks, ``feedback`` writes these down, ``build`` makes the releases and proves the
tests, ``quizzes`` reads the chapters' questions, ``practice`` checks what readers
write in a chapter; ``cli`` is the command ``deepsvdd-course``.
"""
