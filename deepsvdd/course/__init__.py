"""A course in a box: assignments built, checked and graded from one source each.

Touch it to change how marks are given (``grade``), what students see of it
(``feedback``), what a submission may look like (``submission``), what a download may
look like (``platforms``), or what a person types (``markbook``).

``source`` reads an assignment, ``submission`` recognizes its cells in a notebook that
is handed in, ``grade`` turns what they did into marks (``allowed``: with which
libraries), ``build`` makes the releases and proves the tests, ``practice`` checks what
readers write in a chapter; ``cli`` is the command ``deepsvdd-course``. ``parameters``
has the variants that a source lists, ``variants`` draws one for each student,
``solutions`` tells from when on they may be seen.

``quizzes`` reads the chapters' questions, ``moodle`` and ``qti`` write them for
learning platforms; ``goals`` says what questions, exercises and tasks test,
``timetable`` what comes when.

How a notebook runs: ``running`` starts a ``sandbox``, where ``worker`` runs students'
cells behind ``walls``, and a ``judge``, which runs the tests, watches the other side
(``supervision``) and calls it over a ``channel`` (``tensors``: what of PyTorch crosses
it); ``notebook`` is what both need of IPython.

From a download to marks: ``archives`` opens folders and zips, ``platforms`` says who
handed in which file, ``roster`` finds them in a list, ``collection`` chooses the
notebook that counts, ``batch`` grades all, ``markbook`` merges what a person typed,
``feedback`` writes tables and pages, ``gradebook`` what platforms import; ``lateness``
takes off what being late costs, ``anonymity`` hides names and gives them back;
``marking`` is all of this in its order, ``tables`` reads and writes their CSV.
``similarity`` reports which submissions resemble each other.
"""
