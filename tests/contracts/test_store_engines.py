"""The contract of the store, on SQLite and on PostgreSQL (the `store` fixture gives each in turn)."""

from control_contract import ControlContract
from figures_contract import FiguresContract
from keys_contract import AccessContract
from store_contract import StoreContract


class TestStore(StoreContract):
    pass


class TestAccess(AccessContract):
    pass


class TestControl(ControlContract):
    pass


class TestFigures(FiguresContract):
    pass
