"""Ready-made agents: one module per framework, imported when an agent needs it."""
