"""Steps of the schema, one file each, run by alembic in order (see `migrate`)."""
