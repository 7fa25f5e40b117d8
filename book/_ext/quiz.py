"""The directive ``{quiz}``: a chapter's questions, from ``book/quizzes/NAME.yml``.

A page needs no script for them: an option is a radio button, and the style sheet shows
the explanation that follows the button which is checked.
"""

from html import escape
from pathlib import Path

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

from deepsvdd.course.quizzes import read_quiz


def markup(text, part=""):
    """Return HTML that other builders leave out; ``part`` tells what it opens."""
    return nodes.raw("", text, format="html", part=part)


class Quiz(SphinxDirective):
    """Show the questions of one file, one after the other."""

    required_arguments = 1

    def run(self):
        """Return the questions as one container."""
        name = self.arguments[0]
        relative, path = self.env.relfn2path(f"/quizzes/{name}.yml")
        self.env.note_dependency(relative)
        container = nodes.container(classes=["quiz"])
        try:
            questions = read_quiz(Path(path))
        except (ValueError, OSError) as error:
            raise self.error(str(error)) from None
        for number, question in enumerate(questions, 1):
            container += self.question(f"quiz-{name}-{number}", number, question)
        return [container]

    def question(self, name, number, question):
        """Yield the parts of one question."""
        yield markup(f'<fieldset><legend id="{escape(name)}">', "question")
        yield nodes.strong(text=f"Question {number}. ")
        yield self.inline(question.text)
        if question.goals:
            word = "goal" if len(question.goals) == 1 else "goals"
            numbers = " and ".join(map(str, question.goals))
            yield nodes.inline(text=f" ({word} {numbers})", classes=["goal"])
        yield markup("</legend>")
        for key, option in enumerate(question.options):
            button = f"{escape(name)}-{key}"
            yield markup(
                f'<input type="radio" name="{escape(name)}" id="{button}">'
                f'<label for="{button}">',
                "option",
            )
            yield self.inline(option.text)
            verdict = "Right." if option.correct else "Not so."
            kind = "right" if option.correct else "wrong"
            opening = f'</label><div class="{kind}"><strong>{verdict}</strong> '
            yield markup(opening, kind)
            yield self.inline(option.why)
            yield markup("</div>")
        yield markup("</fieldset>")

    def inline(self, text):
        """Return a text of one paragraph, whose quotes become typographic."""
        parsed = self.parse_text_to_nodes(text)
        paragraphs = [node for node in parsed if isinstance(node, nodes.paragraph)]
        if len(paragraphs) != len(parsed):
            raise self.error(f"a text of a quiz must be a paragraph: {text}")
        parts = [part for paragraph in paragraphs for part in paragraph.children]
        return nodes.inline("", "", *parts)


def setup(app):
    """Register the directive."""
    app.add_directive("quiz", Quiz)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
