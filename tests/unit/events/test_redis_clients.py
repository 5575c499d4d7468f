"""Which Redis a URL names, and what is told of one that names none."""

import pytest
from redis.asyncio import Redis
from redis.asyncio.cluster import RedisCluster
from redis.asyncio.sentinel import SentinelConnectionPool

from events.redis_clients import Clients, make_clients, shown_url


def addresses(clients: Clients) -> set[tuple[str, int]]:
    assert isinstance(clients.commands, RedisCluster)
    return {(node.host, int(node.port)) for node in clients.commands.startup_nodes}


async def test_each_address_of_a_cluster_is_one_to_begin_with() -> None:
    async with make_clients("redis+cluster://you:word@127.0.0.1:7001,127.0.0.2,[::1]:7003") as clients:
        assert addresses(clients) == {("127.0.0.1", 7001), ("127.0.0.2", 6379), ("::1", 7003)}
        options = clients.commands.get_connection_kwargs()
    assert (options["username"], options["password"], options["protocol"]) == ("you", "word", 3)


async def test_a_cluster_with_tls_checks_certificates_unless_told_otherwise() -> None:
    async with make_clients("rediss+cluster://127.0.0.1:7001?ssl_ca_certs=/ca.pem") as clients:
        options = clients.commands.get_connection_kwargs()
    assert (options["ssl_ca_certs"], options["ssl_cert_reqs"]) == ("/ca.pem", "required")


async def test_sentinels_are_asked_for_the_service_of_the_path_with_passwords_of_their_own() -> None:
    url = "redis+sentinel://you:word@10.0.0.1,10.0.0.2:26380/mill?sentinel_password=secret"
    async with make_clients(url) as clients:
        assert isinstance(clients.commands, Redis)
        pool = clients.commands.connection_pool
        assert isinstance(pool, SentinelConnectionPool)
        asked = [one.get_connection_kwargs() for one in pool.sentinel_manager.sentinels]
    assert [(one["host"], one["port"], one["password"]) for one in asked] == [
        ("10.0.0.1", 26379, "secret"),
        ("10.0.0.2", 26380, "secret"),
    ]
    assert (pool.service_name, pool.connection_kwargs["password"]) == ("mill", "word")


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("redis+cloud://127.0.0.1", "redis\\+cluster:// or redis\\+sentinel://"),
        ("redis+sentinel://127.0.0.1:26379", "redis\\+sentinel://host:port/NAME"),
        ("redis+cluster://127.0.0.1:7001/3", "no databases"),
        ("redis+cluster://127.0.0.1:7001,", "host:port"),
        ("redis+cluster://", "host:port"),
    ],
)
def test_a_url_that_names_none_says_how_it_is_written(url: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        make_clients(url)


def test_what_is_shown_of_a_url_has_no_names_passwords_or_options() -> None:
    assert shown_url("rediss+cluster://you:word@a:1,b:2?ssl_ca_certs=/x") == "rediss+cluster://a:1,b:2"
    assert shown_url("redis+sentinel://:word@a:1/mill") == "redis+sentinel://a:1/mill"
