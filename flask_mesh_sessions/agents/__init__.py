"""An agent's own memory: its tables and its session services."""
