"""What is kept on one Redis is kept on a Redis Cluster: the same suites, and the server refuses what crosses slots."""

import pytest

from events.redis_clients import Clients
from tests.contract import (
    test_archive_redis,
    test_deliveries_redis,
    test_derived_redis,
    test_event_log_redis,
    test_inbox_redis,
    test_key_store_redis,
    test_lease_records_redis,
    test_provider_gate_redis,
    test_replies_redis,
    test_standing_redis,
    test_subscriptions_redis,
    test_upload_registry_redis,
    test_version_register_redis,
    test_view_store_redis,
)
from tests.contract.view_store_contract import ViewWorld

pytest_plugins = ("tests.servers.redis_cluster",)


@pytest.fixture
def redis_clients(cluster_clients: Clients) -> Clients:
    """Under the name that the suites know."""
    return cluster_clients


@pytest.fixture
def world(redis_clients: Clients) -> ViewWorld:
    return test_view_store_redis.RedisViewWorld(redis_clients)


class TestLog(test_event_log_redis.TestRedisLog):
    """Events, versions, histories."""


class TestInbox(test_inbox_redis.TestRedisInbox):
    """Deliveries, claims, timers."""


class TestDerived(test_derived_redis.TestRedisDerived):
    """What is made anew from the log."""


class TestDigests(test_derived_redis.TestRedisDigests):
    """Whose bytes these are."""


class TestArchive(test_archive_redis.TestRedisAndDirectory):
    """Marks, manifest, trimming."""


class TestViews(test_view_store_redis.TestRedisViews):
    """Rows, lists, the feed of changes."""


class TestKeys(test_key_store_redis.TestRedisKeyStore):
    """API keys, compared by WATCH."""


class TestLeaseRecords(test_lease_records_redis.TestRedisLeaseRecords):
    """Work in the hands of workers elsewhere."""


class TestProviderGate(test_provider_gate_redis.TestRedisProviderGate):
    """One limit for all workers."""


class TestReplies(test_replies_redis.TestRedisReplies):
    """Answers that are given again."""


class TestStanding(test_standing_redis.TestRedisStanding):
    """Dead letters, timers, workers; what a scrape tells of each server."""


class TestUploads(test_upload_registry_redis.TestRedisUploads):
    """Resumable uploads."""


class TestDeliveries(test_deliveries_redis.TestRedisDeliveries):
    """Deliveries to webhooks."""


class TestSubscriptions(test_subscriptions_redis.TestRedisSubscriptions):
    """Webhooks."""


class TestIndexVersions(test_version_register_redis.TestRedisVersionRegister):
    """Commits to an index in a bucket."""
