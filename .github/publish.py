"""Publish the book: .github/workflows/pages.yml runs this, and a desk can.

    python .github/publish.py folder BUILD SITE RELEASE   into a folder, to look at
    python .github/publish.py site BUILD RELEASE          to the branch gh-pages
    python .github/publish.py notebooks FOLDER            to the branch notebooks

BUILD is what `make book` made, RELEASE is "main" or a tag, as v0.2.1. The site has a
folder for main (latest), for every minor version (v0.2) and a copy of the newest
release (stable). Its front, what an address without a version leads to, is stable if
there is one, else latest. A branch holds one commit: every push replaces it, so that
built files do not pile up in the repository's history.
"""

import argparse
import functools
import json
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from urllib.parse import urlsplit

ADDRESS = re.compile(r'<link rel="canonical" href="(.*/)(latest|v\d+\.\d+)/404\.html"')
CANONICAL = re.compile(r'(<link rel="canonical" href=")[^"]*"')
RELATIVE = re.compile(r'\b(href|src|action)="(?![a-z][a-z0-9+.-]*:|[/#])')
IDENTITY = (
    *("-c", "user.name=github-actions[bot]"),
    *("-c", "user.email=41898282+github-actions[bot]@users.noreply.github.com"),
)
ATTEMPTS = 3  # somebody else may push in between
MOVED = """\
<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<title>The book is at {there}</title>
<meta http-equiv="refresh" content="0; url={there}">
<link rel="canonical" href="{base}{there}">
<p><a href="{there}">The book is at {there}</a></p>
</html>
"""


# --- a folder with all versions ---------------------------------------------------


def folder_of(release):
    """Return the folder of "main" or of a tag."""
    if release == "main":
        return "latest"
    tag = re.fullmatch(r"(v\d+\.\d+)\.\d+", release)
    if not tag:
        raise SystemExit(f"{release!r} is neither main nor a tag like v0.2.1")
    return tag[1]


def number(release):
    """Return a tag's or folder's number, to compare it: (0, 2, 1)."""
    return tuple(map(int, release.removeprefix("v").split(".")))


def own_address(build):
    """Return the site's address and the folder that a build was made for."""
    found = ADDRESS.search((build / "404.html").read_text("utf-8"))
    return found[1], found[2]


def pages_of(folder):
    """List a version's pages, by their addresses in its folder."""
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*.html"))


def publish(build, site, release):
    """Put a build into its folder of the site and bring the rest up to date."""
    base, folder = own_address(build)
    if folder != folder_of(release):
        raise SystemExit(
            f"the book was built as {folder!r}, but {release} belongs into "
            f"{folder_of(release)!r}: does deepsvdd.__version__ equal the tag?"
        )
    path = site / "versions.json"
    known = json.loads(path.read_text("utf-8")) if path.exists() else []
    versions = {version["folder"]: version for version in known}
    held = versions.get(folder, {}).get("release", release)
    if release != "main" and number(held) > number(release):
        raise SystemExit(f"{folder} holds {held}, which is newer than {release}")

    folders = [folder]
    others = [number(name) for name in versions if name[0] == "v"]
    if release != "main" and number(folder) >= max(others, default=(0,)):
        folders.append("stable")
    for name in folders:
        shutil.rmtree(site / name, ignore_errors=True)
        shutil.copytree(build, site / name)
        label = f"stable ({release[1:]})" if name == "stable" else name
        pages = pages_of(site / name)
        versions[name] = {"folder": name, "name": label, "pages": pages}
        if release != "main":
            versions[name]["release"] = release
    ordered = sorted(versions.values(), key=rank)
    path.write_text(json.dumps(ordered, indent=1) + "\n", "utf-8")
    front = "stable" if "stable" in versions else "latest"
    write_front(site, base, front)
    for name in versions:
        set_canonical(site, name, base, front)


def rank(version):
    """Order the versions: stable, latest, then the newest first."""
    folder = version["folder"]
    if folder in ("stable", "latest"):
        return (("stable", "latest").index(folder),)
    return (2, *(-part for part in number(folder)))


def write_front(site, base, front):
    """Write what lies beside the folders."""
    for path in site.glob("*.html"):
        path.unlink()  # pages that a version had and the next has not
    (site / ".nojekyll").touch()
    for page in [path.name for path in (site / front).glob("*.html")]:
        there = f"{front}/" if page == "index.html" else f"{front}/{page}"
        (site / page).write_text(MOVED.format(base=base, there=there), "utf-8")
    # GitHub shows this page at whatever address there is nothing: no relative link
    # would work at all of them.
    text = (site / front / "404.html").read_text("utf-8")
    root = f"{urlsplit(base).path}{front}/"
    text = RELATIVE.sub(lambda found: f'{found[1]}="{root}', text)
    text = text.replace('data-content_root="./"', f'data-content_root="{root}"')
    (site / "404.html").write_text(text, "utf-8")

    sitemap = (site / front / "sitemap.xml").read_text("utf-8")
    sitemap = re.sub(rf"<loc>{re.escape(base)}[^/]*/", f"<loc>{base}{front}/", sitemap)
    (site / "sitemap.xml").write_text(sitemap, "utf-8")
    # Crawlers read it where the book has a domain of its own.
    robots = f"User-agent: *\nAllow: /\n\nSitemap: {base}sitemap.xml\n"
    (site / "robots.txt").write_text(robots, "utf-8")


def set_canonical(site, folder, base, front):
    """Have a version's pages name the front's page of that name, if it has one."""
    for page in pages_of(site / folder):
        best = front if (site / front / page).exists() else folder
        path = site / folder / page
        before = path.read_text("utf-8")
        after = CANONICAL.sub(rf'\g<1>{base}{best}/{page}"', before, count=1)
        if after != before:
            path.write_text(after, "utf-8")


# --- a branch ---------------------------------------------------------------------


def git(*words, cwd, env=None, check=True):
    """Return what a command of git prints."""
    done = subprocess.run(
        ("git", *words),
        cwd=cwd,
        env=os.environ | (env or {}),
        stdout=subprocess.PIPE,
        text=True,
        check=check,
    )
    return done.stdout.strip()


def push(branch, change, message, repository):
    """Change the files of a branch of origin, by a function of their folder.

    The checkout, its index and its branches stay as they are.
    """
    for _ in range(ATTEMPTS):
        head = git("ls-remote", "origin", f"refs/heads/{branch}", cwd=repository)
        before = head.partition("\t")[0]
        with tempfile.TemporaryDirectory() as temporary:
            tree = Path(temporary, "tree")
            tree.mkdir()
            env = {
                "GIT_DIR": git("rev-parse", "--absolute-git-dir", cwd=repository),
                "GIT_INDEX_FILE": str(Path(temporary, "index")),
                "GIT_WORK_TREE": str(tree),
            }
            run = functools.partial(git, cwd=tree, env=env)
            if before:
                run("fetch", "--quiet", "origin", before)
                run("read-tree", before)
                run("checkout-index", "--all")
            change(tree)
            run("add", "--all", "--force")
            wanted = run("write-tree")
            if before and wanted == run("rev-parse", f"{before}^{{tree}}"):
                return
            commit = run(*IDENTITY, "commit-tree", wanted, "-m", message)
            lease = f"--force-with-lease=refs/heads/{branch}:{before}"
            target = f"{commit}:refs/heads/{branch}"
            run("push", "--quiet", lease, "origin", target, check=False)
            now = git("ls-remote", "origin", f"refs/heads/{branch}", cwd=repository)
            if now.startswith(commit):
                return
    raise SystemExit(f"could not push to the branch {branch!r}")


def replace(notebooks, tree):
    """Let a folder hold the readers' notebooks and nothing else."""
    if not list(notebooks.glob("**/*.ipynb")):
        raise SystemExit(f"no notebooks in {notebooks}: `make book` writes them")
    for path in tree.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    shutil.copytree(notebooks, tree, dirs_exist_ok=True)


def main():
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    for name, arguments in {
        "folder": ["build", "site", "release"],
        "site": ["build", "release"],
        "notebooks": ["folder"],
    }.items():
        command = commands.add_parser(name)
        for argument in arguments:
            command.add_argument(argument, type=str if argument == "release" else Path)
    given = parser.parse_args()
    repository = Path.cwd()
    if given.command == "folder":
        given.site.mkdir(parents=True, exist_ok=True)
        publish(given.build, given.site, given.release)
    elif given.command == "site":
        change = functools.partial(publish, given.build, release=given.release)
        push("gh-pages", change, f"Publish the book of {given.release}", repository)
    else:
        change = functools.partial(replace, given.folder)
        push("notebooks", change, "Publish the readers' notebooks", repository)


if __name__ == "__main__":
    main()
