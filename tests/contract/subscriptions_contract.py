"""What every store of subscriptions does, wherever it keeps them."""

import asyncio

import msgspec
import pytest

from domain.errors import RefusalCode, Refused
from tests.webhook_samples import OTHER_SECRET, SECRET, kept, webhook_id
from webhooks.signing import Secrets
from webhooks.subscription import DisabledReason, Kept, disabled, unknown_webhook
from webhooks.subscriptions import Full, SubscriptionStore


def described(text: str, before: Kept) -> Kept:
    changed = msgspec.structs.replace(before.subscription, description=text)
    return Kept(subscription=changed, secrets=before.secrets)


class SubscriptionsContract:
    """Subclasses provide the fixture `store`, empty."""

    async def test_an_empty_store_knows_nothing(self, store: SubscriptionStore) -> None:
        everything = await store.everything()
        assert (everything.version, everything.kept, everything.has_callbacks) == (await store.version(), (), False)
        assert await store.find(webhook_id(1)) is None

    async def test_what_was_kept_is_found_and_listed_by_id(self, store: SubscriptionStore) -> None:
        for number in (2, 1, 3):
            assert await store.create(kept(number), count_max=5) == kept(number)
        assert await store.find(webhook_id(2)) == kept(2)
        assert (await store.everything()).kept == (kept(1), kept(2), kept(3))

    async def test_an_id_is_kept_once_and_the_first_stays(self, store: SubscriptionStore) -> None:
        await store.create(kept(1), count_max=5)
        again = kept(1, url="http://127.0.0.1:9/other")
        assert await store.create(again, count_max=5) == kept(1)
        assert await store.find(webhook_id(1)) == kept(1)

    async def test_no_more_are_kept_than_are_allowed(self, store: SubscriptionStore) -> None:
        await store.create(kept(1), count_max=2)
        await store.create(kept(2), count_max=2)
        assert await store.create(kept(3), count_max=2) == Full(2)
        assert await store.create(kept(2), count_max=2) == kept(2), "one that is kept already is answered all the same"
        assert await store.delete(webhook_id(1))
        assert await store.create(kept(3), count_max=2) == kept(3)

    async def test_every_change_raises_the_version_and_nothing_else_does(self, store: SubscriptionStore) -> None:
        seen = [await store.version()]

        async def has_changed() -> bool:
            seen.append(await store.version())
            return seen[-1] > seen[-2]

        await store.create(kept(1), count_max=5)
        assert await has_changed()
        await store.create(kept(1), count_max=5)
        await store.change(webhook_id(1), lambda before: before)
        await store.find(webhook_id(1))
        await store.failing_since(webhook_id(1), 5)
        await store.succeeded(webhook_id(1))
        assert not await has_changed()
        await store.change(webhook_id(1), lambda before: described("new", before))
        assert await has_changed()
        await store.expect_callbacks()
        assert await has_changed()
        await store.expect_callbacks()
        assert not await has_changed()
        await store.delete(webhook_id(1))
        assert await has_changed()
        await store.delete(webhook_id(1))
        assert not await has_changed()

    async def test_a_change_sees_what_is_kept_and_answers_what_it_made(self, store: SubscriptionStore) -> None:
        await store.create(kept(1), count_max=5)
        secrets = Secrets(current=OTHER_SECRET, previous=SECRET, previous_until_us=9)
        changed = await store.change(
            webhook_id(1), lambda before: Kept(subscription=before.subscription, secrets=secrets)
        )
        assert changed is not None
        assert changed.secrets == secrets == ((await store.everything()).kept[0]).secrets
        assert await store.change(webhook_id(2), lambda before: before) is None

    async def test_what_a_change_raises_comes_through_and_leaves_all_as_it_was(self, store: SubscriptionStore) -> None:
        def refuse(_before: Kept) -> Kept:
            raise unknown_webhook()

        await store.create(kept(1), count_max=5)
        with pytest.raises(Refused) as refused:
            await store.change(webhook_id(1), refuse)
        assert refused.value.code is RefusalCode.UNKNOWN_WEBHOOK
        assert await store.find(webhook_id(1)) == kept(1)

    async def test_changes_at_once_are_all_made(self, store: SubscriptionStore) -> None:
        await store.create(kept(1), count_max=5)

        async def add(letter: str) -> None:
            await store.change(
                webhook_id(1), lambda before: described(before.subscription.description + letter, before)
            )

        await asyncio.gather(*map(add, "granite"))
        found = await store.find(webhook_id(1))
        assert found is not None
        assert sorted(found.subscription.description) == sorted("granite")

    async def test_a_disabled_one_keeps_its_first_reason(self, store: SubscriptionStore) -> None:
        await store.create(kept(1), count_max=5)
        await store.change(webhook_id(1), lambda before: disabled(before, DisabledReason.GONE, 7))
        found = await store.change(webhook_id(1), lambda before: disabled(before, DisabledReason.FAILING, 8))
        assert found is not None
        assert found.subscription.disabled is not None
        assert (found.subscription.disabled.reason, found.subscription.disabled.at_us) == (DisabledReason.GONE, 7)

    async def test_failures_count_from_the_first_one_behind_a_success(self, store: SubscriptionStore) -> None:
        assert [await store.failing_since(webhook_id(1), at) for at in (5, 6, 7)] == [5, 5, 5]
        assert await store.failing_since(webhook_id(2), 8) == 8
        await store.succeeded(webhook_id(1))
        assert await store.failing_since(webhook_id(1), 9) == 9
        assert await store.failing_since(webhook_id(2), 10) == 8

    async def test_callbacks_are_expected_for_good(self, store: SubscriptionStore) -> None:
        await store.expect_callbacks()
        assert (await store.everything()).has_callbacks

    async def test_the_clock_goes_on(self, store: SubscriptionStore) -> None:
        first = await store.now_us()
        assert first > 1_600_000_000_000_000
        assert await store.now_us() >= first
