"""Kinds of tests by their place, and how several workers (`-n`) share them out.

`system` marks what `make test-quick` leaves out: tests that start whole systems, or ask for seconds of processor time,
as those of hundreds of random inputs do.
"""

import os
from collections import Counter
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

# The last lot is run while the other workers have none left, so it must be a small part of the run.
TESTS_IN_A_LOT = 30
LOTS_OF_A_WORKER = 20

SYSTEM = (
    # The longest first: a worker that waits for processes overlaps with others that compute.
    "tests/acceptance/",
    "tests/tools/test_chaos.py",
    "tests/tools/bench/test_bench_end_to_end.py",
    "tests/tools/test_mutants.py::test_the_quick_mutants_are_caught",
    "tests/sipgateway/test_calls.py",
    "tests/tools/test_up.py",
    "tests/tools/test_servers_of_a_run.py",
    "tests/tools/test_embedded.py",
    "tests/campaigns_project/test_worker_memory.py",
    "tests/campaigns/test_campaigns_stateful.py",
    "tests/dialer/test_attempts_stateful.py",
    "tests/dialer/test_rehearsal_against_the_dialer.py",
    "tests/api/test_schemathesis.py",
    "tests/dialer/test_channels_stateful.py",
    "tests/dialer/test_number_locks_stateful.py",
    "tests/dialer/test_number_rules_stateful.py",
    "tests/webhooks/test_webhook_flow.py",
    "tests/contacts/test_csv_upload.py::test_memory_stays_flat_over_fifty_thousand_rows",
    "tests/contacts/test_csv_turns.py::test_memory_stays_flat_whatever_a_record_holds",
    "tests/contacts/test_csv_workbooks.py::test_a_large_workbook_is_read_in_little_memory",
    "tests/contacts/test_csv_workbooks.py::TestSheet::test_a_row_for_each_line_to_the_last_that_excel_has",
    "tests/contacts/test_destinations.py::test_the_short_way_says_what_parsing_says",
    "tests/api/test_corrected_uploads.py::test_a_batch_does_not_read_the_whole_list",
    "tests/api/test_throttle.py::test_by_default_the_201st_request_of_a_minute_is_refused",
    # Histories of minutes, sweep by sweep, and of many uploads.
    "tests/dialer/test_look_up_pace.py",
    "tests/dialer/test_one_number_twice.py",
    "tests/dialer/test_instant_failures.py::test_a_carrier_that_fails_every_call_costs_ten_attempts_and_a_few_tries",
    "tests/dialer/test_instant_failures.py::test_any_other_outcome_ends_the_run",
    "tests/dialer/test_caller_id_health.py::test_five_taken_and_then_refused_leaves_the_others_waiting",
    "tests/dialer/test_caller_id_health.py::test_small_batches_rest_after_three_refusals",
    "tests/dialer/test_caller_id_health.py::test_a_refused_retry_keeps_its_attempts",
    "tests/dialer/test_caller_id_health.py::test_a_campaign_of_wrong_numbers_alone_ends",
    "tests/dialer/test_carrier_accounts.py::test_a_call_is_asked_for_where_it_was_placed",
    "tests/dialer/test_give_backs.py::test_in_ten_minutes_few_attempts_are_given_back",
    "tests/dialer/test_look_ups.py::test_of_two_attempts_in_doubt_neither_is_given_the_one_call",
    "tests/dialer/test_dialing.py::test_a_trunk_that_stays_down_is_tried_by_one_call_at_a_time",
    "tests/dialer/test_check_calls.py::test_events_that_never_come_are_told_and_the_number_is_called_once",
    "tests/webhooks/test_webhook_order.py::TestEnd::test_it_waits_for_one_that_fails_for_ten_minutes",
    "tests/api/test_any_json.py::test_any_json_at_any_place_is_stored_whole_or_refused_whole",
    "tests/api/test_corrected_uploads.py::test_in_whatever_order_uploads_are_loaded_the_latest_of_a_number_counts",
    # Histories, files and lists that are long because what they show is.
    "tests/accounts/test_audited_admin.py::test_guesses_without_end_do_not_fill_the_table",
    "tests/accounts/test_sign_in.py::test_others_at_the_same_address_are_let_in_whatever_was_guessed_there",
    "tests/accounts/test_sign_in.py::test_a_name_that_is_guessed_at_from_many_addresses_is_let_in_where_it_was_before",
    "tests/accounts/test_sign_in.py::test_a_form_without_a_password_makes_no_name_known",
    "tests/accounts/test_sign_in.py::test_an_address_that_guessed_at_many_names_tries_each_once",
    "tests/accounts/test_sign_in.py::test_the_right_password_after_45_wrong_ones_is_not_let_in",
    "tests/api/test_contacts.py::TestCreate::test_five_thousand_are_taken_and_one_more_is_refused",
    "tests/api/test_throttle.py::test_two_processes_together_let_exactly_as_many_in_as_one",
    "tests/campaigns_project/test_beat.py::test_beat_is_at_work_while_it_spares_every_queue",
    "tests/campaigns_project/test_beat.py::test_the_ticks_of_a_worker_that_is_away_do_not_pile_up",
    "tests/contacts/test_csv_encodings.py::test_a_large_file_is_looked_through_in_little_memory",
    "tests/contacts/test_csv_records.py::TestStrayQuote::test_rejects_its_line_alone_when_the_cell_would_be_too_long",
    "tests/dialer/test_caller_id_health.py::test_a_caller_id_that_is_not_valid_holds_up_no_other_one_on_its_trunk",
    "tests/dialer/test_forecasts.py::test_many_people_take_as_many_queries_as_few",
    "tests/dialer/test_give_backs.py::test_calls_given_back_by_a_trunk_that_rests_wait_for_the_trunk_alone",
    "tests/dialer/test_instant_failures.py::test_dead_numbers_beside_phones_that_ring_are_no_run",
    "tests/dialer/test_many_campaigns.py::test_with_one_channel_every_campaign_gets_its_turn_before_any_gets_a_second",
    "tests/dialer/test_number_rules.py::test_no_attempt_that_a_limit_counts_is_left_out_of_what_is_looked_up",
    "tests/dialer/test_races.py::test_a_sweep_that_can_not_lock_the_leases_repairs_the_calls_all_the_same",
    "tests/sandbox/test_sandbox_queue.py::test_what_waits_at_a_pause_is_taken_back_and_rung_once_after_the_resume",
    "tests/sandbox/test_sandbox_ring_log.py::test_a_long_log_is_complete",
    "tests/webhooks/test_webhook_delivery.py::test_a_slow_receiver_is_cut_off_and_holds_up_nobody",
    # Programs that are started, one for each case.
    "tests/campaigns_project/test_loaded.py::test_a_worker_loads_no_page",
    "tests/campaigns_project/test_pgbouncer.py",
    "tests/docs/test_site.py",
    "tests/retention/test_recordings_in_a_bucket.py",
    "tests/sandbox/test_sandbox_process.py",
    "tests/dialer/test_events_process.py",
    "tests/sipgateway/test_baresip.py",
    "tests/sipgateway/test_tls_border.py",
    "tests/campaigns_project/test_deploy_check.py",
    "tests/campaigns_project/test_preparation.py",
    "tests/campaigns_project/test_startup.py",
    "tests/campaigns_project/test_web_process.py",
    "tests/campaigns_project/test_web_worker.py",
    "tests/api/test_over_http.py",
    "tests/core/test_redis_prefix.py::test_every_key_and_queue_begins_with_the_prefix",
    # Walks of every page of the admin and the console, and every address of the API, in every role.
    "tests/accounts/test_memberships.py::test_a_stranger_sees_and_changes_nothing_of_others",
    "tests/accounts/test_memberships.py::test_a_viewer_sees_the_account_s_rows_and_changes_nothing",
    "tests/console/test_walk.py",
    "tests/console/test_offers.py",
    "tests/console/test_bad_queries.py::test_an_address_with_anything_in_it_is_no_fault",
    "tests/api/test_every_address.py::test_without_working_credentials_every_address_of_a_tenant_refuses",
    "tests/api/test_every_address.py::test_the_admin_shows_and_does_nothing_without_permission",
    "tests/api/test_every_address.py::test_another_tenants_objects_are_unknown_below_the_own_sid",
    "tests/api/test_every_address.py::test_another_tenants_objects_can_not_be_named_in_a_body",
    "tests/api/test_every_address.py::test_another_tenants_sid_is_unknown_at_every_address_to_every_method",
    "tests/console/test_audited_console.py::test_the_walk_knows_every_address_that_takes_a_form",
    "tests/dialer/test_admin.py::test_no_list_offers_django_s_own_delete",
)
SHARED = (
    # Tests that use one system stay on one worker: each worker would start its own.
    "tests/acceptance/",
    "tests/api/test_over_http.py",
    "tests/dialer/test_events_process.py",
    "tests/sipgateway/test_calls.py",
    "tests/campaigns_project/test_pgbouncer.py",
    # Roles and databases belong to the server of all workers.
    "tests/campaigns_project/test_preparation.py",
    "tests/campaigns_project/test_server_checks.py",
)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave files out that have no other tests, where those are not wanted: to import them all takes seconds."""
    if config.option.markexpr != "not system":
        return None
    place = os.path.relpath(collection_path, config.rootpath)
    return place in SYSTEM or f"{place}/" in SYSTEM or None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    ranks: dict[str, int] = {}
    for item in items:
        nodeid = item.nodeid
        if nodeid.startswith(SYSTEM):
            item.add_marker(pytest.mark.system)
            ranks[nodeid] = next(rank for rank, place in enumerate(SYSTEM) if nodeid.startswith(place))
        elif getattr(getattr(item, "obj", None), "is_hypothesis_test", False):
            item.add_marker(pytest.mark.system)
    items.sort(key=lambda item: ranks.get(item.nodeid, len(SYSTEM)))


class Scheduler(LoadScopeScheduling):  # type: ignore[misc]
    """Gives a worker a few tests of a file at a time, one that takes long alone, and together all that share a system.

    So most tests of a file come to one worker, and what they share is made once. `--dist=loadgroup` would do for the
    systems, but pytest 9.2 ignores how xdist 3.8 marks its groups.
    """

    def schedule(self) -> None:
        """Hand out tests, two to each worker: it runs one when it knows the next. Xdist gives one to a replacement."""
        super().schedule()
        for node in self.nodes:
            self._reschedule(node)

    def _split_scope(self, nodeid: str) -> str:
        return self._lots[nodeid]

    @cached_property
    def _lots(self) -> dict[str, str]:
        """The lot of each test, by their ids. All workers have collected the same tests."""
        [nodeids, *_] = self.registered_collections.values()
        lots: dict[str, str] = {}
        of_files: Counter[str] = Counter()
        together = max(1, min(TESTS_IN_A_LOT, len(nodeids) // (LOTS_OF_A_WORKER * self.numnodes)))
        for nodeid in nodeids:
            if shared := next((place for place in SHARED if nodeid.startswith(place)), None):
                lots[nodeid] = shared
            elif nodeid.startswith(SYSTEM):
                lots[nodeid] = nodeid
            else:
                file = nodeid.partition("::")[0]
                lots[nodeid] = f"{file} {of_files[file] // together}"
                of_files[file] += 1
        return lots

    def mark_test_complete(self, node: Any, item_index: int, duration: float = 0) -> None:
        """Forget a scope whose tests are done: xdist counts what is left of all scopes after each test."""
        super().mark_test_complete(node, item_index, duration)
        work, scope = self.assigned_work[node], self._split_scope(self.registered_collections[node][item_index])
        if all(work[scope].values()):
            del work[scope]


@pytest.hookimpl(tryfirst=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Scheduler:
    return Scheduler(config, log)
