#!/usr/bin/env bash
# pygiftparser breaks the formula \nu, and every other one that begins with n.
#
# pygiftparser 1.1: in GIFT, \n is a line break and \\ a backslash, so that a question
# writes \nu as \\nu; Moodle and gift-pegjs read the backslash first and keep the formula.
# pygiftparser looks for \n anywhere, also after a backslash, and never undoes \\: \nu
# becomes a backslash, a line break and the letter u. \nabla, \neq, \ne, \not and \nolimits
# go the same way, and other commands keep two backslashes, a line break in TeX. Who is
# hurt: whoever moves a quiz with formulas from Moodle into a tool built on this parser;
# the file is accepted. Remedy: another parser; or, in a copy of the file for this tool,
# the HTML entity &bsol; in place of each \\ (not for Moodle, which looks for \( itself).
#
# Output seen:
#   gift-pegjs reads    'Is \\(\\nu = 1\\) allowed?'
#   pygiftparser reads  'Is \\\\(\\\nu = 1\\\\) allowed?'
#   with &bsol;, both   'Is \\(\\nu = 1\\) allowed?'
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet pygiftparser==1.1
cd "$folder"
npm install --silent --no-fund --no-audit gift-pegjs@1.0.2 > /dev/null
venv/bin/python - <<'PY'
import html
import io
import json
import subprocess

from pygiftparser import parser
from pygiftparser.utils import markupRendering

READ = (
    "const {parse} = require('gift-pegjs');"
    "console.log(JSON.stringify(parse(require('fs').readFileSync(0, 'utf8'))))"
)


def with_pegjs(gift):
    run = subprocess.run(
        ["node", "-e", READ], input=gift, capture_output=True, text=True, check=True
    )
    return html.unescape(json.loads(run.stdout)[0]["stem"]["text"])


def with_python(gift):
    (question,) = parser.parseFile(io.StringIO(gift))
    return html.unescape(markupRendering(question.text, "html"))


formula = r"Is \(\nu = 1\) allowed?"
escaped = r"::Q::[html]Is \\(\\nu \= 1\\) allowed? {=yes ~no}" + "\n"
entity = r"::Q::[html]Is &bsol;(&bsol;nu \= 1&bsol;) allowed? {=yes ~no}" + "\n"
print("gift-pegjs reads   ", repr(with_pegjs(escaped)))
print("pygiftparser reads ", repr(with_python(escaped)))
assert with_pegjs(escaped) == formula
assert with_python(escaped) == "Is \\\\(\\\nu = 1\\\\) allowed?"
both = {with_pegjs(entity), with_python(entity)}
print("with &bsol;, both  ", *map(repr, both))
assert both == {formula}
PY
