"""The commands of ``flask mesh`` and ``flask db``."""
