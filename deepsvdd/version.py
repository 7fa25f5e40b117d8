"""The package's version, which pyproject.toml reads from here, and its repository."""

__version__ = "0.2.0.dev0"


def repository() -> str:
    """Return the repository's address, as pyproject.toml has it."""
    from importlib.metadata import metadata  # slow, and `import deepsvdd` comes here

    urls = metadata("deepsvdd").get_all("Project-URL") or []
    return dict(url.split(", ", 1) for url in urls)["Repository"]
