"""Print pyproject.toml's lower bounds as constraints: `make oldest`, matrix.yml.

"numpy>=1.26" becomes "numpy==1.26". The package's own dependencies alone: a reader has
what Google Colab or a cluster has installed, while the tests bring their tools along.
"""

import sys
from pathlib import Path

from packaging.requirements import Requirement

try:
    import tomllib
except ModuleNotFoundError:  # Python 3.10
    from pip._vendor import tomli as tomllib

ROOT = Path(__file__).resolve().parents[1]


def lowest(lines):
    """Return each requirement at its lower bound."""
    bounds = []
    for line in lines:
        requirement = Requirement(line)
        (bound,) = (s.version for s in requirement.specifier if s.operator == ">=")
        bounds.append(f"{requirement.name}=={bound}")
    return bounds


if __name__ == "__main__":
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    sys.stdout.write("\n".join(lowest(project["dependencies"])) + "\n")
