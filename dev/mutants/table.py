"""The faults: each takes away something that a promise hangs on."""

from dataclasses import replace

from dev.mutants.mutant import Mutant

KILLS = "tests/test_kills.py::test_killed_at_an_outside_effect"
MACHINE = (
    "tests/faults/test_machine.py::"
    "test_whatever_happens_in_whatever_order_the_promises_hold[tables]"
)
SEED = 1
"""By which the machine comes upon each of FOUND within its examples."""

ALONE = (
    # what is written, and when
    Mutant(
        "an older read may replace a newer one",
        "lib/store/vectors.py",
        "coalesce(stored.generated_at, '-infinity') <= excluded.generated_at",
        "true",
        "tests/store/test_vectors.py::test_older_read_never_replaces_a_newer_one",
    ),
    Mutant(
        "users are struck off before the cache is written",
        "lib/batch/page.py",
        """\
        with phase(Phase.CACHE):
            await mirror(services, [result.user for result in done])
        async with services.database.connection() as connection:
            figures = {name: amount for name, amount in services.figures.items() if amount}
            services.figures.clear()
            await results.close_users(connection, page.run, page.page, done, figures)
""",
        """\
        async with services.database.connection() as connection:
            figures = {name: amount for name, amount in services.figures.items() if amount}
            services.figures.clear()
            await results.close_users(connection, page.run, page.page, done, figures)
        with phase(Phase.CACHE):
            await mirror(services, [result.user for result in done])
""",
        f"{KILLS}[tables-before the cache is written]",
    ),
    Mutant(
        "the cache is not looked at after its write",
        "lib/batch/mirror.py",
        "if written.get(user) != held.get(user)",
        "if False",
        "tests/test_page.py::test_of_two_deliveries_that_race_the_cache_keeps_the_newest",
    ),
    Mutant(
        "the next page is published before this one's vectors are written",
        "lib/batch/page.py",
        "            done = await process_batch_user_embeddings(services, slices.popleft())\n",
        "            await _pass_on(services, page, progress)\n"
        "            done = await process_batch_user_embeddings(services, slices.popleft())\n",
        "tests/test_page.py::test_next_page_is_published_after_the_vectors_are_written",
    ),
    Mutant(
        "the cache is written before the vectors are",
        "lib/batch/page.py",
        "            done = await process_batch_user_embeddings(services, slices.popleft())\n",
        "            taken = slices.popleft()\n"
        "            await mirror(services, [member.user for member in taken])\n"
        "            done = await process_batch_user_embeddings(services, taken)\n",
        "tests/test_page.py::test_cache_is_written_after_the_vectors_are",
    ),
    Mutant(
        "a cache that could not be looked at keeps what may be old",
        "lib/batch/mirror.py",
        "            await cache.drop(list(written))\n            raise\n",
        "            raise\n",
        "tests/test_page.py::test_vectors_that_could_not_be_looked_at_again_do_not_stay_in_redis",
    ),
    Mutant(
        "keys of users who are no more stay",
        "lib/batch/mirror.py",
        "        await cache.drop([user for user in behind if user not in written])\n",
        "",
        "tests/test_page.py::test_a_user_who_is_no_more_leaves_neither_row_nor_key",
    ),
    Mutant(
        "the run's row is not locked at closing",
        "lib/store/results.py",
        "WHERE id = $1::UUID AND finished_at IS NULL FOR UPDATE",
        "WHERE id = $1::UUID AND finished_at IS NULL",
        "tests/store/test_results.py::"
        "test_two_chains_that_close_their_last_pages_at_once_finish_the_run",
    ),
    Mutant(
        "what an erasure withholds is written",
        "lib/store/vectors.py",
        "    AND made.user_id <> ALL ((SELECT users FROM withheld)::UUID[])\n",
        "",
        "tests/store/test_erasures.py::test_nothing_is_written_that_was_read_before",
    ),
    Mutant(
        "a reader's copy stays though the row has changed",
        "lib/recommend/vectors.py",
        "    if changed:",
        "    if False:",
        "tests/reads/test_races.py::"
        "test_change_at_any_two_moments_of_a_read_leaves_nothing_older_in_redis",
    ),
    # who is due
    Mutant(
        "windows do not overlap",
        "lib/batch/plan.py",
        "return end - timedelta(seconds=services.runs.overlap)",
        "return end",
        "tests/test_ticks.py::test_an_action_committed_late_is_found_by_the_next_run",
    ),
    Mutant(
        "what is left of an absorbed run is forgotten",
        "lib/batch/plan.py",
        "absorbed = unfinished.id if unfinished else None",
        "absorbed = None",
        "tests/test_ticks.py::test_a_run_that_hangs_is_absorbed_and_its_users_are_done",
    ),
    Mutant(
        "who failed is not due again",
        "lib/store/results.py",
        "  SELECT user_id, 'failed' FROM failed WHERE attempts <= $9\n",
        "  SELECT user_id, 'failed' FROM failed WHERE attempts <= $9 AND false\n",
        "tests/store/test_results.py::test_failed_user_is_tried_again_for_five_times_and_no_more",
    ),
    Mutant(
        "a retraction retracts nothing",
        "lib/store/actions.py",
        "WHERE NOT retracted",
        "WHERE true",
        "tests/store/test_actions.py::"
        "test_retraction_cancels_what_was_before_it_by_time_and_then_by_id",
    ),
    # the chain
    Mutant(
        "a page with users left is answered 200",
        "lib/web/batch_process.py",
        "return unavailable(report.body()) if report.trouble else done(report.body())",
        "return done(report.body())",
        "tests/test_cache_modes.py::"
        "test_redis_out_of_reach_keeps_its_pages_until_it_is_back[tables-write]",
    ),
    Mutant(
        "a page's message is named anew each time",
        "lib/qstash/message.py",
        "hashlib.sha256(encode(page).encode()).hexdigest()",
        "hashlib.sha256(encode(page).encode() + str(id(object())).encode()"
        " + __import__('os').urandom(8)).hexdigest()",
        "tests/qstash/test_message.py::test_deduplication_id_is_the_same_for_ever",
    ),
    Mutant(
        "the next page may be the page itself",
        "lib/store/pages.py",
        "page > $2::INTEGER",
        "page >= $2::INTEGER",
        "tests/store/test_pages.py::test_chain_goes_from_page_to_page_of_its_residue",
    ),
    Mutant(
        "a page that was given up is published again",
        "lib/batch/failure.py",
        "publish_next(database, queue, run, page.page)",
        "publish_next(database, queue, run, page.page - run.chains)",
        "tests/test_outages.py::"
        "test_a_page_given_up_is_passed_over_and_its_users_join_the_next_run",
    ),
    Mutant(
        "slices are begun after the time is up",
        "lib/batch/page.py",
        " and asyncio.get_running_loop().time() < stop_at",
        "",
        "tests/test_page.py::"
        "test_a_page_out_of_time_keeps_its_slices_lets_the_chain_go_on_and_finishes_later",
    ),
    Mutant(
        "one bad user fails the slice",
        "lib/batch/users.py",
        """\
    except (*DATA_ERRORS, EmbeddingError):
        return [await _alone(""",
        """\
    except ZeroDivisionError:
        return [await _alone(""",
        "tests/test_page.py::test_a_poisoned_user_is_recorded_and_all_others_are_written",
    ),
    Mutant(
        "what may pass does not say when to come again",
        "lib/web/answer.py",
        'Unavailable: Refusal(503, "unavailable", headers={"Retry-After":'
        " str(RETRY_AFTER_SECONDS)}),",
        'Unavailable: Refusal(503, "unavailable"),',
        "tests/web/test_answer.py::"
        "test_only_what_may_pass_is_to_be_retried_later_and_only_what_never_will_is_not",
    ),
    # the doors
    Mutant(
        "a signature may be as old as it likes",
        "lib/qstash/signature.py",
        "LEEWAY = 30",
        "LEEWAY = 10**9",
        "tests/qstash/test_signature.py::test_verify_forgives_clocks_that_differ_by_up_to_30_s",
    ),
    Mutant(
        "an empty key is a key",
        "lib/settings/variable.py",
        "environ.get(self.name) or self.default",
        "environ.get(self.name, self.default)",
        "tests/settings/test_settings.py::test_empty_signing_key_is_refused_everywhere",
    ),
    Mutant(
        "what is signed is what was understood, not what came",
        "lib/web/door.py",
        "verify(token, body, self.url, self.keys, time.time())",
        "verify(token, body.strip(), self.url, self.keys, time.time())",
        "tests/web/test_door.py::test_body_is_checked_byte_for_byte",
    ),
    Mutant(
        "the address is what the headers say",
        "lib/web/door.py",
        "verify(token, body, self.url,",
        "verify(token, body, str(request.url),",
        "tests/web/test_door.py::test_url_is_the_configured_one_whatever_the_headers_say",
    ),
    Mutant(
        "a body may be as long as it likes",
        "lib/web/body.py",
        "if len(body) > longest:",
        "if False:",
        "tests/web/test_door.py::test_body_without_end_is_read_to_its_cap",
    ),
    Mutant(
        "any token opens",
        "lib/web/bearer.py",
        "if not any(found):",
        "if not found:",
        "tests/web/test_log.py::test_stranger_is_told_one_thing_before_anything_is_read_or_opened",
    ),
    Mutant(
        "the development trigger answers in production",
        "lib/settings/__init__.py",
        "return development and table.ALLOW_DEV_TRIGGER.load(environ)",
        "return table.ALLOW_DEV_TRIGGER.load(environ)",
        "tests/settings/test_settings.py::"
        "test_dev_trigger_needs_to_be_asked_for_and_works_on_no_deployment",
    ),
)

FOUND = (
    "an older read may replace a newer one",
    "users are struck off before the cache is written",
    "the cache is not looked at after its write",
    "windows do not overlap",
    "a page with users left is answered 200",
    "a page's message is named anew each time",
    "keys of users who are no more stay",
    "what an erasure withholds is written",
    "what is left of an absorbed run is forgotten",
    "a retraction retracts nothing",
)
"""What the machine has to come upon as well, which knows of none."""

BY_NAME = {mutant.name: mutant for mutant in ALONE}

MUTANTS = (
    *ALONE,
    *(
        replace(BY_NAME[name], name=f"{name}, which chance must find", test=MACHINE, seed=SEED)
        for name in FOUND
    ),
)
