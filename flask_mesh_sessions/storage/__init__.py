"""Databases: engines, dialect differences, transactions, migrations."""
