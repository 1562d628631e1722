"""Backup and restore of both services' databases: one file, made and taken back by PostgreSQL's own tools."""
