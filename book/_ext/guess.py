"""The directive ``{guess}``: a number to be guessed before it is shown.

The text of the directive is the answer, folded; its first words in bold begin with the
measured number, which cells compute. The page's script (``_static/guess.js``) adds a
slider from ``:low:`` to ``:high:``, and shows guess and measurement side by side.
Without a script, and in readers' notebooks, question and folded answer remain.
"""

from html import escape
from typing import ClassVar

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.util.docutils import SphinxDirective


class Guess(SphinxDirective):
    """Show a question, and fold what was measured."""

    required_arguments = 1  # the question
    final_argument_whitespace = True
    has_content = True
    option_spec: ClassVar = {
        "low": float,
        "high": float,
        "step": float,
        "unit": directives.unchanged,
    }

    def run(self):
        """Return question, place of the slider and folded answer as one container."""
        low, high = self.options.get("low", 0), self.options.get("high", 100)
        step = self.options.get("step", (high - low) / 100)
        if low >= high:
            raise self.error(f"low must be below high; got {low:g} and {high:g}")
        if not 0 < step <= high - low:
            raise self.error(
                f"step must be above 0 and at most {high - low:g}; got {step:g}"
            )
        if not any("**" in line for line in self.content):
            raise self.error("the measured number must come in bold: **12** images")
        container = nodes.container(classes=["guess"])
        question = self.parse_text_to_nodes(self.arguments[0])
        container += [
            nodes.paragraph("", "", nodes.strong(text="Guess first. "), *part.children)
            for part in question
        ]
        unit = escape(self.options.get("unit", "%"))
        container += nodes.raw(
            "",
            f'<p class="slider" hidden data-unit="{unit}"><input type="range" '
            f'min="{low:g}" max="{high:g}" step="{step:g}" '
            f'aria-label="Your guess in {unit}"> <output></output></p>',
            format="html",
            part="slider",
        )
        answer = ["````{dropdown} What was measured", *self.content, "````"]
        container += self.parse_text_to_nodes("\n".join(answer))
        return [container]


def setup(app):
    """Register the directive."""
    app.add_directive("guess", Guess)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
