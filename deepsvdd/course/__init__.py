"""A course in a box: assignments built, checked and graded from one source each.

Touch it to change how marks are given (``grade``), what students see of it
(``feedback``), what a submission may look like (``submission``), what a download may
look like (``platforms``), or what a person types (``markbook``).

``source`` reads an assignment, ``submission`` recognizes its cells in a notebook that
is handed in, ``worker`` runs cells in a fenced process, ``grade`` turns what they did
into marks, ``build`` makes the releases and proves the tests, ``quizzes`` reads the
chapters' questions, ``practice`` checks what readers write in a chapter; ``cli`` is the
command ``deepsvdd-course``.

From a download to marks: ``archives`` opens folders and zips, ``platforms`` says who
handed in which file, ``roster`` finds them in a list, ``collection`` chooses the
notebook that counts, ``batch`` grades all, ``markbook`` merges what a person typed,
``feedback`` writes tables and pages, ``gradebook`` what platforms import; ``marking``
is all of this in its order, ``tables`` reads and writes their CSV.
"""
