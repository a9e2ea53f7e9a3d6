"""Schema versions, applied by alembic; a new one is a new file in versions/ and schema.VERSION."""
