"""Alembic's revisions of the schema, applied by `Store.migrate`.

After a change of `nas/store/tables.py`, `python -m nas.store.migrations "what changed"` drafts the revision
that brings databases there; read it and mend it before it is committed.
"""
