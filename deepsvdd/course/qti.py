"""Quizzes as QTI packages, which platforms other than Moodle import.

Version 1.2 is what Canvas reads and writes; its formulas are in Canvas's own markup.
Version 2.1 is 1EdTech's standard of today, read by Blackboard, OpenOlat and others; its
formulas are MathML. https://www.1edtech.org/standards/qti
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from html import escape
from urllib.parse import quote
from xml.etree import ElementTree as ET

from deepsvdd.course.quizzes import Question, as_html

SCHEMA = "http://www.w3.org/2001/XMLSchema-instance"
MATHML = "http://www.w3.org/1998/Math/MathML"
CANVAS = "http://canvas.instructure.com/xsd/cccv1p0"
V1 = "http://www.imsglobal.org/xsd/ims_qtiasiv1p2"
V2 = "http://www.imsglobal.org/xsd/imsqti_v2p1"
PACKAGE = "http://www.imsglobal.org/xsd/imscp_v1p1"


class Node:
    """An XML element to which children are added in the order of the calls."""

    def __init__(self, element: ET.Element) -> None:
        self.element = element

    @classmethod
    def root(cls, tag: str, namespace: str, **attributes: str) -> Node:
        """Return a document's root, in a namespace that its children share."""
        return cls(ET.Element(tag, {"xmlns": namespace, **attributes}))

    def add(self, tag: str, text: str | None = None, **attributes: str) -> Node:
        """Add a child and return it."""
        child = ET.SubElement(self.element, tag, attributes)
        child.text = text
        return Node(child)

    def add_html(self, tag: str, html: str, **attributes: str) -> None:
        """Add a child with elements of HTML, which must be well-formed."""
        self.element.append(ET.fromstring(f"<{tag}>{html}</{tag}>"))
        self.element[-1].attrib.update(attributes)

    def document(self) -> str:
        """Return the document as text."""
        body = ET.tostring(self.element, encoding="unicode")
        return f'<?xml version="1.0" encoding="UTF-8"?>\n{body}\n'


def pack(files: dict[str, str]) -> bytes:
    """Return a zip of files by their names; the same files give the same zip."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(zipfile.ZipInfo(name), text, zipfile.ZIP_DEFLATED)
    return content.getvalue()


Resource = tuple[str, str, list[str], list[str]]


def manifest(version: str, resources: list[Resource]) -> str:
    """Return a package's table of contents.

    Parameters
    ----------
    version : of QTI, for readers who look at it
    resources : identifier, type, files and identifiers of what it depends on
    """
    root = Node.root("manifest", PACKAGE, identifier="quizzes")
    about = root.add("metadata")
    about.add("schema", "IMS Content" if version == "1.2" else "QTIv2.1 Package")
    about.add("schemaversion", "1.1.3" if version == "1.2" else "1.0.0")
    root.add("organizations")
    entries = root.add("resources")
    for identifier, kind, files, needed in resources:
        entry = entries.add("resource", identifier=identifier, type=kind, href=files[0])
        for file in files:
            entry.add("file", href=file)
        for other in needed:
            entry.add("dependency", identifierref=other)
    return root.document()


def named(
    quizzes: dict[str, list[Question]],
) -> Iterator[tuple[str, str, list[Question]]]:
    """Yield an identifier for each quiz, its title and its questions."""
    for number, (title, questions) in enumerate(quizzes.items(), 1):
        yield f"quiz-{number:02}", title, questions


# --- 1.2, for Canvas --------------------------------------------------------------


def canvas_formula(formula: str) -> str:
    """Return a formula as the picture that Canvas's editor makes and can change."""
    text = escape(formula)
    return (
        f'<img class="equation_image" title="{text}" alt="LaTeX: {text}" '
        f'data-equation-content="{text}" '
        f'src="/equation_images/{quote(quote(formula, safe=""), safe="")}" />'
    )


def qti_1_2(quizzes: dict[str, list[Question]]) -> bytes:
    """Return a package with an ungraded practice quiz for each of the quizzes."""
    files: dict[str, str] = {}
    resources: list[Resource] = []
    for identifier, title, questions in named(quizzes):
        content = f"{identifier}/{identifier}.xml"
        settings = f"{identifier}/assessment_meta.xml"
        files[content] = _assessment(identifier, title, questions)
        files[settings] = _canvas_settings(identifier, title, len(questions))
        other = f"{identifier}-settings"
        kind = "associatedcontent/imscc_xmlv1p1/learning-application-resource"
        resources += [
            (identifier, "imsqti_xmlv1p2", [content], [other]),
            (other, kind, [settings], []),
        ]
    return pack({"imsmanifest.xml": manifest("1.2", resources), **files})


def _assessment(identifier: str, title: str, questions: list[Question]) -> str:
    root = Node.root("questestinterop", V1)
    assessment = root.add("assessment", ident=identifier, title=title)
    section = assessment.add("section", ident="root_section")
    for number, question in enumerate(questions, 1):
        name = f"{identifier}-{number}"
        _item(section.add("item", ident=name, title=f"{title}, {number}"), question)
    return root.document()


def _item(item: Node, question: Question) -> None:
    def material(parent: Node, text: str) -> None:
        html = as_html(text, canvas_formula)
        parent.add("material").add("mattext", f"<p>{html}</p>", texttype="text/html")

    names = [f"answer-{number}" for number in range(1, len(question.options) + 1)]
    fields = item.add("itemmetadata").add("qtimetadata")
    for label, entry in {
        "question_type": "multiple_choice_question",
        "points_possible": "1",
    }.items():
        field = fields.add("qtimetadatafield")
        field.add("fieldlabel", label)
        field.add("fieldentry", entry)
    presentation = item.add("presentation")
    material(presentation, question.text)
    response = presentation.add(
        "response_lid", ident="response1", rcardinality="Single"
    )
    choices = response.add("render_choice", shuffle="Yes")
    for name, option in zip(names, question.options, strict=True):
        material(choices.add("response_label", ident=name), option.text)
    processing = item.add("resprocessing")
    processing.add("outcomes").add(
        "decvar", varname="SCORE", vartype="Decimal", minvalue="0", maxvalue="100"
    )

    def if_chosen(name: str, more: str) -> Node:
        rule = processing.add("respcondition", **{"continue": more})
        rule.add("conditionvar").add("varequal", name, respident="response1")
        return rule

    for name in names:  # before the score: it ends the processing
        rule = if_chosen(name, "Yes")
        rule.add("displayfeedback", feedbacktype="Response", linkrefid=f"{name}_fb")
    for name, option in zip(names, question.options, strict=True):
        if option.correct:
            if_chosen(name, "No").add("setvar", "100", action="Set", varname="SCORE")
    for name, option in zip(names, question.options, strict=True):
        material(
            item.add("itemfeedback", ident=f"{name}_fb").add("flow_mat"), option.why
        )


def _canvas_settings(identifier: str, title: str, points: int) -> str:
    root = Node.root("quiz", CANVAS, identifier=identifier)
    for tag, text in {
        "title": title,
        "shuffle_answers": "true",
        "quiz_type": "practice_quiz",
        "points_possible": str(points),
        "show_correct_answers": "true",
        "allowed_attempts": "-1",
    }.items():
        root.add(tag, text)
    return root.document()


# --- 2.1 --------------------------------------------------------------------------


def mathml(formula: str) -> str:
    """Return a formula in MathML, inline.

    Examples
    --------
    >>> "<mi>R</mi>" in mathml("R^2")
    True
    """
    from latex2mathml.converter import convert

    return str(convert(formula))


def qti_2_1(quizzes: dict[str, list[Question]]) -> bytes:
    """Return a package with a test for each of the quizzes, and a file an item."""
    files: dict[str, str] = {}
    resources: list[Resource] = []
    for identifier, title, questions in named(quizzes):
        items = []
        for number, question in enumerate(questions, 1):
            name = f"{identifier}-{number}"
            files[f"{name}.xml"] = _item_2_1(name, f"{title}, {number}", question)
            resources.append((name, "imsqti_item_xmlv2p1", [f"{name}.xml"], []))
            items.append(name)
        files[f"{identifier}.xml"] = _test_2_1(identifier, title, items)
        test = (identifier, "imsqti_test_xmlv2p1", [f"{identifier}.xml"], items)
        resources.append(test)
    return pack({"imsmanifest.xml": manifest("2.1", resources), **files})


def _test_2_1(identifier: str, title: str, items: list[str]) -> str:
    root = Node.root("assessmentTest", V2, identifier=identifier, title=title)
    part = root.add(
        "testPart",
        identifier="part",
        navigationMode="nonlinear",
        submissionMode="individual",
    )
    section = part.add(
        "assessmentSection", identifier="section", title=title, visible="true"
    )
    for name in items:
        section.add("assessmentItemRef", identifier=name, href=f"{name}.xml")
    return root.document()


def _item_2_1(name: str, title: str, question: Question) -> str:
    def html(text: str) -> str:
        return as_html(text, mathml)

    root = Node.root(
        "assessmentItem",
        V2,
        identifier=name,
        title=title,
        adaptive="false",
        timeDependent="false",
    )
    names = [f"answer-{number}" for number in range(1, len(question.options) + 1)]
    (right,) = (n for n, o in zip(names, question.options, strict=True) if o.correct)
    response = root.add(
        "responseDeclaration",
        identifier="RESPONSE",
        cardinality="single",
        baseType="identifier",
    )
    response.add("correctResponse").add("value", right)
    score = root.add(
        "outcomeDeclaration", identifier="SCORE", cardinality="single", baseType="float"
    )
    score.add("defaultValue").add("value", "0")
    root.add(
        "outcomeDeclaration",
        identifier="FEEDBACK",
        cardinality="single",
        baseType="identifier",
    )
    body = root.add("itemBody")
    body.add_html("p", html(question.text))
    interaction = body.add(
        "choiceInteraction",
        responseIdentifier="RESPONSE",
        shuffle="true",
        maxChoices="1",
    )
    for key, option in zip(names, question.options, strict=True):
        interaction.add("simpleChoice", identifier=key).add_html("p", html(option.text))
    processing = root.add("responseProcessing")
    rule = processing.add("responseCondition").add("responseIf")
    match = rule.add("match")
    match.add("variable", identifier="RESPONSE")
    match.add("correct", identifier="RESPONSE")
    rule.add("setOutcomeValue", identifier="SCORE").add(
        "baseValue", "1", baseType="float"
    )
    # The feedback with the name of what was chosen is shown.
    processing.add("setOutcomeValue", identifier="FEEDBACK").add(
        "variable", identifier="RESPONSE"
    )
    for key, option in zip(names, question.options, strict=True):
        feedback = root.add(
            "modalFeedback",
            outcomeIdentifier="FEEDBACK",
            identifier=key,
            showHide="show",
        )
        feedback.add_html("p", html(option.why))
    return root.document()
