"""Take sphinx-thebe out of the pages.

Jupyter Book always loads it. It runs cells on a public server, which this book does not
offer, and its script tag comes twice: "Identifier 'THEBE_JS_URL' has already been
declared", says the browser's console on every page.
"""


def disconnect_thebe(app, config):
    """Drop every listener that belongs to sphinx-thebe, and the link to its styles."""
    styles = app.registry.css_files
    styles[:] = [(name, options) for name, options in styles if "thebe" not in name]
    for listeners in app.events.listeners.values():
        listeners[:] = [
            listener
            for listener in listeners
            if not listener.handler.__module__.startswith("sphinx_thebe")
        ]


def setup(app):
    """Register at the first event after all extensions are set up."""
    app.connect("config-inited", disconnect_thebe)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
