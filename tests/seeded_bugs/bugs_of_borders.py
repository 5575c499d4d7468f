"""Seeded bugs where something comes in or goes out: requests, documents, searches, providers, log lines."""

from typing import Final

from tests.seeded_bugs.bug import Catch, Edit, SeededBug

BUGS_OF_BORDERS: Final = (
    SeededBug(
        name="webhook-redirects-followed",
        flaw="A webhook's message goes wherever its endpoint points, with its signature.",
        edits=(
            Edit(
                "src/outbound/client.py",
                '                retry_after = answer.header("retry-after")\n',
                "                if answer.is_redirect:\n"
                "                    return await self.post(str(_next(answer.url, answer)), content, headers=headers)\n"
                '                retry_after = answer.header("retry-after")\n',
            ),
        ),
        caught_by=(
            Catch(
                "tests/integration/test_webhooks_over_http.py::"
                "test_b125_f44_a_redirect_is_a_failure_and_never_followed",
                "a message went where an endpoint pointed",
            ),
        ),
    ),
    SeededBug(
        name="address-checked-at-registration-alone",
        flaw="A name that is public when a webhook is registered may lead inside when it is called.",
        edits=(
            Edit(
                "src/outbound/guard.py",
                "        await self.addresses(url.place)\n",
                "        self._rules.check(url.place, await self.addresses(url.place))\n",
            ),
            Edit("src/outbound/guard.py", "        self._rules.check(place, addresses)\n", ""),
        ),
        caught_by=(
            Catch(
                "tests/integration/test_webhooks_over_http.py::"
                "test_f45_a_name_that_leads_inside_when_it_is_called_is_not_connected_to",
                "url_address_denied",
            ),
        ),
    ),
    SeededBug(
        name="redirects-followed",
        flaw="The client of providers follows redirects: texts of documents go wherever the provider points.",
        edits=(Edit("src/knowledge/provider_http.py", "follow_redirects=False", "follow_redirects=True"),),
        caught_by=(
            Catch(
                "tests/integration/test_openai_embedder.py::test_a_redirect_is_a_refusal_and_nothing_goes_where_it_points",
                "a text went where the provider pointed",
            ),
        ),
    ),
    SeededBug(
        name="host-trusted",
        flaw="Whatever host a request names is taken for ours: a web page that rebinds its name drives the service.",
        edits=(
            Edit(
                "src/millstream/guard.py",
                "if len(hosts) != 1 or _name_of(hosts[0]) not in self._allowed:",
                "if len(hosts) != 1:",
            ),
        ),
        caught_by=(
            Catch("tests/unit/millstream/test_guard.py::test_any_other_host_is_a_bad_host", "assert 204 == 400"),
        ),
    ),
    SeededBug(
        name="one-table-for-all",
        flaw="Searches look into the rows of every knowledge base.",
        edits=(
            Edit(
                "src/knowledge/table_names.py",
                'return f"{table.knowledge_base_id}.{table.generation}"',
                'return f"all.{table.generation}"',
            ),
        ),
        caught_by=(
            Catch(
                "tests/integration/test_lance_index.py::TestLanceIndex::test_knowledge_bases_do_not_see_one_another",
                '== ["ours"]',
            ),
        ),
    ),
    SeededBug(
        name="filter-dropped",
        flaw="A search answers with passages that its filter leaves out.",
        edits=(Edit("src/knowledge/lance_rows.py", "        query = query.where(predicate)\n", "        pass\n"),),
        caught_by=(
            Catch(
                "tests/integration/test_lance_index.py::TestLanceIndex::test_a_rare_value_is_found_among_many_better_rows",
                "a note on flour",
            ),
        ),
    ),
    SeededBug(
        name="truncated-body-accepted",
        flaw="A body that ends before its last boundary is accepted with the files that came so far.",
        edits=(Edit("src/ingest/multipart.py", "    _end(parser, may_have_begun=", "    dict(may_have_begun="),),
        caught_by=(
            Catch("tests/integration/test_bad_forms.py::test_a_bad_form_is_refused_whole", "assert (202, None) =="),
        ),
    ),
    SeededBug(
        name="parsed-in-process",
        flaw="Documents are parsed in the worker itself: one that crashes its parser takes the worker along.",
        edits=(
            Edit(
                "src/processors/sandbox.py",
                "        limits = self._settings.limits\n        request = ",
                "        from knowledge.parsers import parse\n\n"
                "        limits = self._settings.limits\n"
                '        data = b"".join([piece async for piece in pieces])\n'
                "        return await asyncio.to_thread(parse, data, media_type, filename, limits)\n"
                "        request = ",
            ),
        ),
        caught_by=(
            Catch(
                "tests/integration/test_sandbox.py::test_a_memory_bomb_is_a_resource_limit", "DID NOT RAISE ParseError"
            ),
            Catch(
                "tests/integration/test_sandbox.py::test_neighbours_of_a_crash_are_unharmed",
                "isinstance(ParsedText(text='segfault'",
            ),
        ),
    ),
    SeededBug(
        name="nesting-uncaught",
        flaw="An event nested 100,000 deep ends whoever reads the log: msgspec answers with RecursionError.",
        edits=(
            Edit(
                "src/events/packed_fields.py",
                "InvalidId, RecursionError, UnicodeDecodeError)",
                "InvalidId, UnicodeDecodeError)",
            ),
        ),
        caught_by=(Catch("tests/unit/events/test_codec.py::test_deep_nesting_is_a_corrupt_event", "RecursionError"),),
    ),
    SeededBug(
        name="nested-body-uncaught",
        flaw="A deeply nested body of a search is answered as an error of ours.",
        edits=(
            Edit(
                "src/ingest/answers.py",
                "    RecursionError: _NO_JSON,\n",
                "",
            ),
        ),
        caught_by=(
            Catch(
                "tests/integration/test_bad_bodies.py::test_a_member_that_breaks_a_rule_is_refused", "internal_error"
            ),
        ),
    ),
    SeededBug(
        name="headers-logged",
        flaw="Every request's headers are in the log, the Authorization among them.",
        edits=(
            Edit(
                "src/ingest/request_id.py",
                "            await self._app(scope, receive, send_with_id)",
                '            structlog.get_logger().info("request", headers=dict(Headers(scope=scope)))\n'
                "            await self._app(scope, receive, send_with_id)",
            ),
        ),
        caught_by=(Catch("tests/integration/test_secrets_in_logs.py::test_a_key_is_nowhere", "canary"),),
    ),
    SeededBug(
        name="secrets-unmasked",
        flaw="What somebody logs under the name of a secret is printed as it is.",
        edits=(Edit("src/millstream/telemetry.py", "        _mask_secrets,\n", ""),),
        caught_by=(
            Catch(
                "tests/unit/millstream/test_telemetry.py::test_what_is_logged_under_the_name_of_a_secret_is_masked",
                "canary",
            ),
        ),
    ),
    SeededBug(
        name="locals-printed",
        flaw="A traceback at the terminal shows the values of variables: keys, tokens, texts of documents.",
        edits=(Edit("src/millstream/telemetry.py", "exception_formatter=structlog.dev.plain_traceback", ""),),
        caught_by=(
            Catch(
                "tests/unit/millstream/test_telemetry.py::test_a_traceback_names_functions_and_shows_no_values_of_variables",
                "canary",
            ),
        ),
    ),
)
