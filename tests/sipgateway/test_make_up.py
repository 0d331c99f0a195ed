"""`make up` starts the SIP gateway where there is a trunk for it."""

import os
from urllib.parse import urlsplit, urlunsplit

import pytest
from django.db import connection

from tests.factories import TrunkFactory
from tools.local import up
from tools.local.project import read_procfile


@pytest.mark.django_db(transaction=True)
def test_the_gateway_is_started_where_there_is_a_sip_trunk():
    url = urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{connection.settings_dict['NAME']}")
    commands = read_procfile()
    others = {name: command for name, command in commands.items() if name != up.SIP_GATEWAY}
    assert up.SIP_GATEWAY in commands
    assert up._without_idle_gateway(commands, urlunsplit(url)) == others
    TrunkFactory(carrier="sip", base_url="sip:trunk.example")
    assert up._without_idle_gateway(commands, urlunsplit(url)) == commands
    assert up._without_idle_gateway({"web": "run web"}, "no database is asked") == {"web": "run web"}
