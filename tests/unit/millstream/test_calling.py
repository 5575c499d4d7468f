"""What may be called follows from the settings, or the start says what is wrong with them."""

import pytest

from millstream.calling import outbound_client
from millstream.errors import ExitCode, Stop
from millstream.settings import Settings
from outbound.errors import ADDRESS_DENIED, OutboundError


async def test_the_settings_name_what_may_be_called_besides_the_internet() -> None:
    client = outbound_client(Settings(outbound_allow="127.0.0.1:9000"))

    assert str(await client.check_url("http://localhost:9000/x")) == "http://localhost:9000/x"
    for url in ("http://localhost:9001/", "http://1.1.1.1:8080/"):
        with pytest.raises(OutboundError) as refused:
            await client.check_url(url)
        assert refused.value.code == ADDRESS_DENIED


@pytest.mark.parametrize("settings", [Settings(outbound_allow="inside"), Settings(outbound_ports="http")])
def test_a_setting_that_names_nothing_stops_the_start(settings: Settings) -> None:
    with pytest.raises(Stop) as stopped:
        outbound_client(settings)
    assert stopped.value.exit_code is ExitCode.CONFIGURATION
