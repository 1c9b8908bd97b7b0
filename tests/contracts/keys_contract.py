"""Keys, quotas and the log of who did what, whatever backend keeps them."""

from __future__ import annotations

import pytest
from store_contract import DOCUMENT

from nas.errors import Conflict, InvalidInput, NotFound, QuotaExceeded
from nas.store.files import CHUNK_BYTES
from nas.store.keys import Owner, Role
from nas.store.records import JobState
from nas.store.store import Store

SECRET = "a secret of one's own, which is long enough".replace(" ", "-")


class KeyContract:
    def test_a_key_is_found_by_its_secret_and_by_nothing_else(self, store: Store) -> None:
        key, secret = store.add_key("anna", Role.SUBMIT, "me", max_open_jobs=3, max_storage_bytes=10**12)
        assert secret.startswith("pf_")
        assert len(secret) > 40
        assert store.key_of_secret(secret) == key
        assert (key.max_open_jobs, key.max_storage_bytes, key.created_by) == (3, 10**12, "me")
        for other in (secret[:-1], secret + "x", "", key.id, "pf_", "é", "\ud800", "nul \0"):
            assert store.key_of_secret(other) is None

    def test_no_two_secrets_are_alike(self, store: Store) -> None:
        secrets = [store.add_key(f"key {n}", Role.READ, "me")[1] for n in range(20)]
        assert len(set(secrets)) == 20
        assert [key.name for key in store.api_keys()] == [f"key {n}" for n in range(20)]

    def test_a_revoked_key_opens_nothing_and_stays_in_the_list(self, store: Store) -> None:
        key, secret = store.add_key("anna", Role.SUBMIT, "me")
        revoked = store.revoke_key(key.id)
        assert revoked.revoked_at is not None
        assert store.key_of_secret(secret) is None
        assert store.revoke_key(key.id) == revoked
        assert store.api_keys() == [revoked]
        with pytest.raises(NotFound, match="k-none"):
            store.revoke_key("k-none")

    def test_the_last_administrator_stays(self, store: Store) -> None:
        assert not store.has_admin_key()
        first, _ = store.add_key("anna", Role.ADMIN, "me")
        assert store.has_admin_key()
        with pytest.raises(Conflict, match="last key of an administrator"):
            store.revoke_key(first.id)
        store.add_key("bob", Role.ADMIN, "me")
        store.revoke_key(first.id)
        assert store.has_admin_key()

    @pytest.mark.parametrize(
        ("name", "limits", "field"),
        [
            (" ", {}, "name"),
            ("x" * 201, {}, "name"),
            ("nul \0", {}, "name"),
            ("anna", {"max_open_jobs": -1}, "max_open_jobs"),
            ("anna", {"max_storage_bytes": 2**64}, "max_storage_bytes"),
            ("anna", {"secret": "short"}, "secret"),
        ],
    )
    def test_a_key_that_makes_no_sense_is_refused(
        self, store: Store, name: str, limits: dict[str, int], field: str
    ) -> None:
        with pytest.raises(InvalidInput, match=field):
            store.add_key(name, Role.READ, "me", **limits)  # type: ignore[arg-type]
        assert store.api_keys() == []

    def test_a_secret_of_ones_own_is_taken_once(self, store: Store) -> None:
        key, secret = store.add_key("anna", Role.READ, "me", secret=SECRET)
        assert secret == SECRET
        store.revoke_key(key.id)
        with pytest.raises(Conflict, match="perhaps a revoked one"):
            store.add_key("bob", Role.READ, "me", secret=SECRET)

    def test_the_named_key_of_an_administrator_changes_with_its_secret(self, store: Store) -> None:
        first = store.put_named_admin_key("ENVIRONMENT", SECRET)
        assert store.put_named_admin_key("ENVIRONMENT", SECRET) == first
        second = store.put_named_admin_key("ENVIRONMENT", SECRET + "2")
        assert store.key_of_secret(SECRET) is None
        assert store.key_of_secret(SECRET + "2") == second
        with pytest.raises(InvalidInput, match="ENVIRONMENT"):
            store.put_named_admin_key("ENVIRONMENT", "short")

    def test_the_named_key_stays_revoked_where_another_administrator_can_come_in(self, store: Store) -> None:
        leaked = store.put_named_admin_key("ENVIRONMENT", SECRET)
        assert leaked is not None
        other, _ = store.add_key("anna", Role.ADMIN, "me")
        store.revoke_key(leaked.id)
        assert store.put_named_admin_key("ENVIRONMENT", SECRET) is None
        assert store.key_of_secret(SECRET) is None
        assert store.put_named_admin_key("ENVIRONMENT", SECRET + "2") is not None
        assert other.id in {key.id for key in store.api_keys() if key.revoked_at is None}

    def test_a_secret_of_a_lesser_key_does_not_become_that_of_an_administrator(self, store: Store) -> None:
        store.add_key("anna", Role.READ, "me", secret=SECRET)
        with pytest.raises(Conflict, match="role read"):
            store.put_named_admin_key("ENVIRONMENT", SECRET)

    def test_the_use_of_a_key_is_noted(self, store: Store) -> None:
        key, secret = store.add_key("anna", Role.READ, "me")
        assert key.last_used_at is None
        store.note_use_of_key(key.id)
        used = store.key_of_secret(secret)
        assert used is not None
        assert used.last_used_at is not None


class QuotaContract:
    def test_only_jobs_that_have_not_ended_count(self, store: Store) -> None:
        owner, other = Owner("k-1", max_open_jobs=2), Owner("k-2", max_open_jobs=2)
        jobs = [store.add_job("mine", DOCUMENT, owner=owner)[0] for _ in range(2)]
        assert [job.submitted_by for job in jobs] == ["k-1", "k-1"]
        store.request_pause(jobs[0].id)
        with pytest.raises(QuotaExceeded, match="k-1 may have 2 jobs"):
            store.add_job("mine", DOCUMENT, owner=owner)
        store.add_job("not mine", DOCUMENT, owner=other)
        assert len(store.jobs()[0]) == 3
        store.request_cancel(jobs[0].id)
        store.add_job("mine", DOCUMENT, owner=owner)

    def test_a_job_that_is_queued_again_counts_again(self, store: Store) -> None:
        owner = Owner("k-1", max_open_jobs=1)
        job, _ = store.add_job("mine", DOCUMENT, owner=owner)
        store.request_cancel(job.id)
        store.add_job("mine", DOCUMENT, owner=owner)
        for ask in (lambda: store.retry_job(job.id, owner), lambda: store.request_finish(job.id, {"seeds": 1}, owner)):
            with pytest.raises(QuotaExceeded):
                ask()
        assert store.job(job.id).state is JobState.CANCELLED
        assert store.retry_job(job.id, Owner("k-admin", max_open_jobs=0)).state is JobState.QUEUED

    def test_uploads_beside_each_other_count_together(self, store: Store) -> None:
        owner = Owner("k-1", max_storage_bytes=3 * CHUNK_BYTES)
        first, second = (store.upload(name, owner=owner) for name in ("a.txt", "b.txt"))
        first.write(b"x" * 2 * CHUNK_BYTES)
        with pytest.raises(QuotaExceeded):
            second.write(b"y" * 2 * CHUNK_BYTES)
        second.abandon()
        assert first.finish()[1]
        assert [file.size_bytes for file in store.files()] == [2 * CHUNK_BYTES]

    def test_a_repeated_submission_is_answered_although_nothing_more_may_be_submitted(self, store: Store) -> None:
        owner = Owner("k-1", max_open_jobs=1)
        first, _ = store.add_job("mine", DOCUMENT, "key", owner=owner)
        assert store.add_job("mine", DOCUMENT, "key", owner=owner) == (first, False)

    def test_files_count_by_who_brought_them(self, store: Store) -> None:
        owner = Owner("k-1", max_storage_bytes=10)

        def bring(name: str, content: bytes, whose: Owner | None) -> bool:
            upload = store.upload(name, owner=whose)
            try:
                upload.write(content)
                return upload.finish()[1]
            finally:
                upload.abandon()

        assert bring("a.txt", b"1234567", owner)
        with pytest.raises(QuotaExceeded, match="files of 10 bytes"):
            bring("b.txt", b"8901", owner)
        assert not bring("a.txt", b"1234567", owner)  # it is there already
        assert bring("c.txt", b"x" * 100, None)
        assert bring("d.txt", b"890", owner)
        assert [file.name for file in store.files()] == ["a.txt", "c.txt", "d.txt"]


class AuditContract:
    def test_entries_are_read_newest_first_and_page_by_page(self, store: Store) -> None:
        for number in range(5):
            store.add_audit_entry("anna", "POST /v1/jobs", f"/v1/jobs/{number}", 201, key_id="k-1", client="::1")
        newest = store.audit_entries(limit=2)
        assert [entry.path for entry in newest] == ["/v1/jobs/4", "/v1/jobs/3"]
        rest = store.audit_entries(newest[-1].sequence, 10)
        assert [entry.path for entry in rest] == ["/v1/jobs/2", "/v1/jobs/1", "/v1/jobs/0"]
        assert (rest[0].who, rest[0].key_id, rest[0].client, rest[0].request_id) == ("anna", "k-1", "::1", None)

    def test_what_callers_make_up_is_mended_and_shortened(self, store: Store) -> None:
        store.add_audit_entry("unknown", "GET", "/\0" + "x" * 10_000, 401)
        (entry,) = store.audit_entries()
        assert entry.path.startswith("/�x")
        assert len(entry.path) == 500


class AccessContract(KeyContract, QuotaContract, AuditContract):
    """All of it."""
