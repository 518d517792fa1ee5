"""gomap: see inside Go maps. This package knows Go's runtime and no debugger."""

#: The one place that has the version: pyproject.toml, the programs and the man page take it from here.
__version__ = "0.1.0"
