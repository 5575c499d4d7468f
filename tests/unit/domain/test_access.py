"""Scopes include lower ones; whoever is bound sees their own knowledge bases alone."""

import pytest
from hypothesis import given

from domain.access import (
    ANONYMOUS,
    EVERYBODY,
    Principal,
    Scope,
    admitted,
    principal_of,
    unknown_instead,
    with_included,
)
from events.ids import KnowledgeBaseId, kind_of, partition_of
from tests.strategies import KNOWLEDGE_BASE, stream_ids

OTHER = KnowledgeBaseId("kb_01" + "0" * 12 + "7" + "0" * 3 + "8" + "0" * 15)


@pytest.mark.parametrize(
    ("given_scope", "may"),
    [
        (Scope.READ, {Scope.READ}),
        (Scope.WRITE, {Scope.READ, Scope.WRITE}),
        (Scope.ADMIN, {Scope.READ, Scope.WRITE, Scope.ADMIN}),
    ],
)
def test_a_scope_includes_those_below_it(given_scope: Scope, may: set[Scope]) -> None:
    principal = Principal(actor="somebody", scopes=with_included([given_scope]))

    assert {scope for scope in Scope if principal.may(scope)} == may


def test_without_a_scope_nothing_is_allowed() -> None:
    assert not any(Principal(actor="somebody", scopes=with_included([])).may(scope) for scope in Scope)


def test_whoever_is_bound_sees_their_own_alone() -> None:
    bound = Principal(actor="somebody", scopes=frozenset(), knowledge_bases=frozenset({KNOWLEDGE_BASE}))

    assert bound.may_see(KNOWLEDGE_BASE)
    assert not bound.may_see(OTHER)
    assert not bound.may_see(None)


def test_whoever_is_not_bound_sees_all_and_whoever_is_bound_to_none_sees_nothing() -> None:
    assert EVERYBODY.may_see(KNOWLEDGE_BASE)
    assert EVERYBODY.may_see(None)
    assert not Principal(actor="x", scopes=frozenset(), knowledge_bases=frozenset()).may_see(KNOWLEDGE_BASE)


def test_who_asks_is_read_where_admission_noted_it() -> None:
    scope: dict[str, dict[str, object]] = {"state": {}}
    asks = Principal(actor="k1", scopes=frozenset({Scope.READ}))

    admitted(scope, asks)

    assert principal_of(scope) == asks
    assert principal_of({}).actor == ANONYMOUS


@given(stream_ids)
def test_what_is_asked_instead_is_of_the_same_kind_and_partition_and_another(one: str) -> None:
    instead = unknown_instead(one)

    assert instead != one
    assert (kind_of(instead), partition_of(instead)) == (kind_of(one), partition_of(one))
