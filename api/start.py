"""What has to be there before a service takes requests: its tables, and a way in."""

from __future__ import annotations

import logging

from api.settings import PREFIX, Settings
from nas.errors import PocketformerError
from nas.store.store import Store

_log = logging.getLogger("pocketformer.api")


class NobodyCouldComeIn(PocketformerError):
    """The service asks for keys, and there is none of an administrator."""


def prepare(store: Store, settings: Settings) -> None:
    """Bring the tables up to date and the settings' key of an administrator into them.

    Raises `NobodyCouldComeIn` where keys are asked for and no administrator has one, and what `Store.migrate` raises.
    """
    store.migrate()
    if settings.admin_key is not None:
        name = f"{PREFIX}ADMIN_KEY"
        if store.put_named_admin_key(name, settings.admin_key.get_secret_value()) is None:
            _log.warning(
                "%s is the secret of a key that was revoked: it opens nothing. Set another one, or none.", name
            )
    if settings.asks_for_keys and not store.has_admin_key():
        raise NobodyCouldComeIn(
            f"Other machines reach this service (host {settings.host}, database {store.address}), so it asks for keys, "
            "and nobody has one yet. Make the first on this machine, with the same database: "
            f"`nas keys create NAME --role admin`; or set {PREFIX}ADMIN_KEY to a secret of your own "
            "(`openssl rand -hex 32`)."
        )
