"""The gateway's own storage: sessions, chat history, feedback."""
