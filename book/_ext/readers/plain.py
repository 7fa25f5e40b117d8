"""A resolved document as Markdown that every notebook viewer renders.

Of Markdown only what CommonMark and pipe tables have is used, of HTML only
``details`` and ``summary``, of mathematics ``$…$`` and ``$$…$$``: Colab, JupyterLab,
VS Code and the pages of repositories all know these.
"""

import re
from dataclasses import dataclass
from urllib.parse import urljoin

from docutils import nodes
from sphinx.errors import ExtensionError

from readers.cells import details

SPECIAL = re.compile(r"([\\`*_\[\]<$])")
# What would begin a heading, a list or a quotation if it came first on a line.
OPENING = re.compile(r"^(\s*)([#>+-]|\d+[.)])(?=\s|$)", re.MULTILINE)
NUMBERED = ("definition", "theorem", "proposition", "lemma", "corollary", "remark")


@dataclass(frozen=True)
class Place:
    """Where a document is, and what its links and numbers need.

    Attributes
    ----------
    page : str
        Name of the page.
    address : str
        Of the published page.
    pictures : str
        Address of the folder to which names of pictures are relative.
    numbers : dict
        Numbers of theorems and their like: kind, label, number.
    equations : dict
        Numbered equations of the book.
    """

    page: str
    address: str
    pictures: str
    numbers: dict
    equations: dict


class Plain:
    """Writes the parts of one document.

    Parameters
    ----------
    place : Place
    """

    def __init__(self, place):
        self.place = place
        self.cell = 0

    def refuse(self, node):
        """Stop the build: this extension cannot say what the author meant."""
        what = f"<{node.tagname}>"
        role = re.match(r"\{([\w:-]+)\}", node.astext() or node.rawsource)
        if isinstance(node, nodes.problematic) and role:
            what = f"the role {{{role[1]}}}"
        raise ExtensionError(
            f"book/{self.place.page}.ipynb, cell {self.cell}: {what} has no plain form "
            f"for readers' notebooks: teach it to book/_ext/readers/plain.py, or write "
            f"it in another way; it is about {node.astext()[:60]!r}"
        )

    # ------------------------------------------------------------------------ blocks

    def blocks(self, children, inside=""):
        """Write blocks, an empty line between them."""
        written = [self.block(child, inside) for child in children]
        return "\n\n".join(text for text in written if text)

    def block(self, node, inside=""):
        """Write one block; ``inside`` is "list", "quote" or "table" if it is in one."""
        if node.line:
            self.cell = node.line // 10_000 - 1
        kind = type(node).__name__.removesuffix("_node")
        if kind in NUMBERED:
            return self.theorem(node, kind)
        if kind == "proof":
            (box,) = node.children
            text = self.blocks(box.children, "quote")
            return quoted(re.sub(r"^Proof\.", "*Proof.*", text))
        write = getattr(self, f"block_{kind}", None)
        return write(node, inside) if write else self.refuse(node)

    def block_paragraph(self, node, inside):
        return OPENING.sub(r"\1\\\2", self.inlines(node)).strip()

    def block_title(self, node, inside):
        return f"**{self.inlines(node).strip()}**"

    block_rubric = block_title

    def nothing(self, node, inside):
        return ""

    block_target = block_comment = block_colspec = nothing

    def block_raw(self, node, inside):
        """Sliders and programs are the page's own affair."""
        own = node.get("part") in ("slider", "demo")
        return "" if own else self.refuse(node)

    def block_compound(self, node, inside):
        """A table of contents is the site's own affair."""
        return "" if "toctree-wrapper" in node["classes"] else self.refuse(node)

    def block_section(self, node, inside):
        """The body of a theorem."""
        return self.blocks(node.children, inside)

    def block_math_block(self, node, inside):
        formula = node.astext().strip()
        number = node.get("number")
        tag = f" \\tag{{{number}}}" if number else ""
        if inside == "list":
            # Between items, some viewers take $$ for a text.
            return f"$\\displaystyle {one_line(formula)}$" + (
                f" ({number})" if tag else ""
            )
        if inside:
            return f"$${one_line(formula)}{tag}$$"
        return f"$$\n{formula}{tag}\n$$"

    def block_literal_block(self, node, inside):
        language = node.get("language", "")
        language = {"ipython3": "python", "default": "", "none": ""}.get(
            language, language
        )
        return f"```{language}\n{node.astext()}\n```"

    def block_bullet_list(self, node, inside):
        return self.items(node, ["-"] * len(node.children))

    def block_enumerated_list(self, node, inside):
        first = node.get("start", 1)
        return self.items(node, [f"{first + k}." for k in range(len(node.children))])

    def items(self, node, marks):
        written = []
        for mark, item in zip(marks, node.children, strict=True):
            text = self.blocks(item.children, "list")
            written.append(f"{mark} " + indented(text, len(mark) + 1))
        loose = any(len(item.children) > 1 for item in node.children)
        return ("\n\n" if loose else "\n").join(written)

    def block_block_quote(self, node, inside):
        return quoted(self.blocks(node.children, "quote"))

    def block_admonition(self, node, inside):
        return quoted(self.blocks(node.children, "quote"))

    def block_note(self, node, inside):
        heading = node.tagname.capitalize()
        return quoted(f"**{heading}.** " + self.blocks(node.children, "quote"))

    block_tip = block_warning = block_important = block_hint = block_note
    block_caution = block_danger = block_attention = block_seealso = block_note

    def theorem(self, node, kind):
        """Write a numbered box: its name and number, its title, what it says."""
        label = node["ids"][0]
        number = self.place.numbers.get(node["countertype"], {}).get(label, ())
        title, *body = node.children
        words = [
            kind.capitalize(),
            ".".join(map(str, number)),
            self.inlines(title).strip(),
        ]
        head = " ".join(word for word in words if word)
        return quoted(f"**{head}.** " + self.blocks(body, "quote"))

    def block_container(self, node, inside):
        if "quiz" in node["classes"]:
            return self.quiz(node)
        text = self.blocks(node.children, inside)
        if "demo" in node["classes"]:
            place = f"{self.place.address}#{node['ids'][0]}"
            if node.get("picture"):
                alt, uri = node["picture"]
                image = nodes.image(uri=uri, alt=alt)
                text += "\n\n" + self.block_image(image, inside)
            text += f"\n\n[Try it in the book]({place}): there it is live."
        return text

    def block_dropdown_main(self, node, inside):
        """Fold what sphinx-design folds; its title has icons besides the words."""
        title, *body = node.children
        words = [t for t in title.children if "sd-summary-text" in t.get("classes", ())]
        return details(self.inlines(words[0]).strip(), self.blocks(body))

    def quiz(self, node):
        """Write each question with its options, and the answers folded below it."""
        questions, parts = [], None
        for child in node.children:
            if isinstance(child, nodes.raw):
                parts = child["part"] or parts
                if child["part"] == "question":
                    questions.append({"question": "", "options": []})
                elif child["part"] == "option":
                    questions[-1]["options"].append({})
                continue
            text = self.inline(child)
            if parts == "question":
                questions[-1]["question"] += text
            elif parts == "option":
                questions[-1]["options"][-1]["text"] = text
            else:
                questions[-1]["options"][-1] |= {"right": parts == "right", "why": text}
        return "\n\n".join(map(asked, questions))

    def block_figure(self, node, inside):
        picture, *_ = node.children
        parts = [self.block_image(picture, inside), self.caption(node)]
        return "\n\n".join(part for part in parts if part)

    def caption(self, figure):
        """Write the caption of a figure, if it has one, with its number."""
        for caption in figure.findall(nodes.caption):
            label = next(iter(figure["ids"]), None)
            number = self.place.numbers.get("figure", {}).get(label, ())
            head = f"Fig. {'.'.join(map(str, number))}. " if number else ""
            return around(head + self.inlines(caption), "*")
        return ""

    def block_image(self, node, inside):
        alt = SPECIAL.sub(r"\\\1", one_line(node.get("alt", "")))
        return f"![{alt}]({urljoin(self.place.pictures, node['uri'])})"

    def block_table(self, node, inside):
        """Write a pipe table, which has one line a row."""
        (group,) = node.findall(nodes.tgroup)
        rows = [
            [
                self.blocks(entry.children, "table").replace("\n", " ")
                for entry in row.children
            ]
            for row in group.findall(nodes.row)
        ]
        head, *body = rows
        lines = [head, ["---"] * len(head), *body]
        return "\n".join(f"| {' | '.join(line)} |" for line in lines)

    # ----------------------------------------------------------------------- inlines

    def inlines(self, node):
        """Write the children of a node that are parts of a text."""
        return "".join(map(self.inline, node.children))

    def inline(self, node):
        """Write one part of a text."""
        kind = type(node).__name__.removesuffix("_node")
        write = getattr(self, f"inline_{kind}", None)
        return write(node) if write else self.refuse(node)

    def inline_Text(self, node):
        text = SPECIAL.sub(r"\\\1", node.astext())
        return text.replace("|", r"\|") if in_table(node) else text

    def inline_math(self, node):
        formula = one_line(node.astext())
        if in_table(node):
            formula = formula.replace(r"\|", r"\Vert ").replace("|", r"\vert ").strip()
        return f"${formula}$"

    def inline_literal(self, node):
        text = node.astext()
        fence = "``" if "`" in text else "`"
        return f"{fence}{text}{fence}"

    def inline_strong(self, node):
        return around(self.inlines(node), "**")

    def inline_emphasis(self, node):
        return around(self.inlines(node), "*")

    inline_title_reference = inline_emphasis

    def inline_inline(self, node):
        return self.inlines(node)

    inline_abbreviation = inline_number_reference = inline_inline

    def inline_target(self, node):
        return self.inlines(node)

    def inline_reference(self, node):
        if "refid" in node:
            address = f"{self.place.address}#{node['refid']}"
        else:
            address = urljoin(self.place.address, node["refuri"])
        text = self.inlines(node).strip()
        return f"[{text or address}]({address.replace(')', '%29')})"

    def inline_image(self, node):
        return self.block_image(node, "")

    def inline_raw(self, node):
        """A line break is the one piece of HTML that a text may have."""
        return (
            "<br>" if node.astext().strip() in ("<br>", "<br/>") else self.refuse(node)
        )


def asked(question):
    """Write a question of a quiz."""
    letters = "abcdefghijklmnopqrstuvwxyz"
    options = list(zip(letters, question["options"], strict=False))
    lines = [f"- ({letter}) {option['text']}" for letter, option in options]
    answers = [
        f"- ({letter}) **{'Right.' if option['right'] else 'Not so.'}** {option['why']}"
        for letter, option in options
    ]
    folded = details("Answer", "\n".join(answers))
    return question["question"].strip() + "\n\n" + "\n".join(lines) + "\n\n" + folded


def around(text, mark):
    """Put marks around words: next to a space they would mark nothing."""
    words = text.strip()
    before = text[: len(text) - len(text.lstrip())]
    after = text[len(text.rstrip()) :]
    return f"{before}{mark}{words}{mark}{after}" if words else text


def in_table(node):
    """Tell whether a node is in a table, where a bar ends a cell."""
    while node := node.parent:
        if isinstance(node, nodes.entry):
            return True
    return False


def one_line(text):
    """Fold white space, line ends among it."""
    return " ".join(text.split())


def indented(text, width):
    """Put lines after the first below the first's text."""
    return text.replace("\n", "\n" + " " * width).replace(
        "\n" + " " * width + "\n", "\n\n"
    )


def quoted(text):
    """Make a quotation of blocks, which stands for a box."""
    return "\n".join(f"> {line}".rstrip() for line in text.split("\n"))
