#!/usr/bin/env bash
# gift-pegjs calls the feedback on a wrong answer trueFeedback, also where true is right.
#
# gift-pegjs 1.0.2: GIFT's {TRUE#one#two} gives first what is said to a wrong answer, then
# what is said to a right one. Moodle's import and pygiftparser read it so, whether the
# answer is TRUE or FALSE. gift-pegjs names the two trueFeedback and falseFeedback, in this
# order, always: right where the answer is FALSE, exchanged where it is TRUE. A tool that
# shows trueFeedback to who chose "true" then says "wrong" to all who are right. Who is
# hurt: authors who check a quiz in a preview built on it, and swap the texts to mend it.
# Remedy: take feedback from isTrue and the order; or write true-or-false questions as two
# options, {=True#right ~False#wrong}, which all parsers read alike.
#
# Output seen:
#   {TRUE#Wrong.#Right.}   to a right answer: pygiftparser Right.  gift-pegjs Wrong.
#   {FALSE#Wrong.#Right.}  to a right answer: pygiftparser Right.  gift-pegjs Right.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet pygiftparser==1.1
cd "$folder"
npm install --silent --no-fund --no-audit gift-pegjs@1.0.2 > /dev/null
venv/bin/python - <<'PY'
import io
import json
import subprocess

from pygiftparser import parser

READ = (
    "const {parse} = require('gift-pegjs');"
    "console.log(JSON.stringify(parse(require('fs').readFileSync(0, 'utf8'))))"
)
for answer, name in ((True, "TRUE"), (False, "FALSE")):
    options = f"{{{name}#Wrong.#Right.}}"
    gift = f"::Q::The radius bounds the distances. {options}\n"
    run = subprocess.run(
        ["node", "-e", READ], input=gift, capture_output=True, text=True, check=True
    )
    (question,) = json.loads(run.stdout)
    assert question["isTrue"] == answer
    by_pegjs = question["trueFeedback" if answer else "falseFeedback"]["text"]
    (question,) = parser.parseFile(io.StringIO(gift))
    assert question.answers.answer == answer
    by_python = question.answers.feedbackCorrect
    print(
        f"{options:22} to a right answer: pygiftparser {by_python}  "
        f"gift-pegjs {by_pegjs}"
    )
    assert by_python == "Right."
    assert by_pegjs == ("Wrong." if answer else "Right.")
PY
