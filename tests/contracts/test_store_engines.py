"""The contract of the store, on SQLite and on PostgreSQL (the `store` fixture gives each in turn)."""

from store_contract import StoreContract


class TestStore(StoreContract):
    pass
