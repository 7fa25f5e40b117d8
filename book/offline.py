"""Pack a built folder for readers without a network: ``make zip``.

    python book/offline.py _build/html _build/deepsvdd-book.zip

The archive unpacks into a folder of its own name. Equal files give equal archives.
"""

import argparse
import zipfile
from pathlib import Path

EARLIEST = (1980, 1, 1, 0, 0, 0)  # that zip can write


def pack(folder, target):
    """Write all files of a folder into an archive."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    if not paths:
        raise SystemExit(f"nothing in {folder}: run `make book`")
    target.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in paths:
            name = f"{target.stem}/{path.relative_to(folder).as_posix()}"
            entry = zipfile.ZipInfo(name, EARLIEST)
            entry.external_attr = 0o644 << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, path.read_bytes())


def main():
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("zip", type=Path)
    given = parser.parse_args()
    pack(given.folder, given.zip)


if __name__ == "__main__":
    main()
