"""What a release needs besides its files: `make release` and release.yml run this.

    python .github/release.py check TAG       may this commit be released under the tag?
    python .github/release.py notes           the changelog's section of this version
    python .github/release.py sums FOLDER     the files' SHA-256, into SHA256SUMS

The version is the package's: the tag, the changelog and CITATION.cff must agree.
"""

import hashlib
import re
import sys
from datetime import date
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[1]
HEADING = re.compile(r"^## (.*)$", re.MULTILINE)


def version_of(root):
    """Return the package's version, as its source has it."""
    text = (root / "deepsvdd/version.py").read_text("utf-8")
    return re.search(r'^__version__ = "(.+)"$', text, re.MULTILINE)[1]


def section(changelog, version):
    """Return the changelog's text under the heading "0.2.0", or "" if it has none.

    A date may follow the number. "[Unreleased] 0.2.0" is the heading of no release.
    """
    parts = HEADING.split(changelog)
    for heading, text in zip(parts[1::2], parts[2::2], strict=True):
        if re.fullmatch(rf"\[?{re.escape(version)}\]?(\W+\d{{4}}-\d\d-\d\d)?", heading):
            return text.strip() + "\n"
    return ""


def findings(root, tag):
    """List what speaks against a release."""
    found = []
    version = version_of(root)
    if not re.fullmatch(r"\d+\.\d+\.\d+", version):
        found.append(f"deepsvdd.__version__ is {version}, which is no release")
    if tag != f"v{version}":
        found.append(f"the tag is {tag!r}, deepsvdd.__version__ asks for v{version}")
    if not section((root / "CHANGELOG.md").read_text("utf-8"), version):
        found.append(f"CHANGELOG.md has no section under the heading `## {version}`")
    citation = yaml.safe_load((root / "CITATION.cff").read_text("utf-8"))
    if str(citation["version"]) != version:
        found.append(f"CITATION.cff has the version {citation['version']}")
    if not isinstance(citation.get("date-released"), date):
        found.append("CITATION.cff needs the day: `date-released: YYYY-MM-DD`")
    return found


def write_sums(folder):
    """Write SHA256SUMS, which `sha256sum --check` reads."""
    sums = folder / "SHA256SUMS"
    lines = [
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n"
        for path in sorted(folder.iterdir())
        if path.is_file() and path != sums
    ]
    sums.write_text("".join(lines), "utf-8")


def main():
    """Read the command line."""
    match sys.argv[1:]:
        case ["check", tag]:
            sys.exit("\n".join(findings(ROOT, tag)) or None)
        case ["notes"]:
            changelog = (ROOT / "CHANGELOG.md").read_text("utf-8")
            print(section(changelog, version_of(ROOT)), end="")
        case ["sums", folder]:
            write_sums(Path(folder))
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main()
