"""What has to be there before a service takes requests: its tables, and a way in."""

from __future__ import annotations

from api.settings import PREFIX, Settings
from nas.errors import PocketformerError
from nas.store.store import Store


class NobodyCouldComeIn(PocketformerError):
    """The service asks for keys, and there is none of an administrator."""


def prepare(store: Store, settings: Settings) -> None:
    """Bring the tables up to date and the settings' key of an administrator into them.

    Raises `NobodyCouldComeIn` where keys are asked for and no administrator has one, and what `Store.migrate` raises.
    """
    store.migrate()
    if settings.admin_key is not None:
        store.put_named_admin_key(f"{PREFIX}ADMIN_KEY", settings.admin_key.get_secret_value())
    if settings.asks_for_keys and not store.has_admin_key():
        raise NobodyCouldComeIn(
            f"Other machines reach this service (host {settings.host}, database {store.address}), so it asks for keys, "
            "and nobody has one yet. Make the first on this machine, with the same database: "
            f"`nas keys create NAME --role admin`; or set {PREFIX}ADMIN_KEY to a secret of your own "
            "(`openssl rand -hex 32`)."
        )
