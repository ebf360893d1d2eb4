"""Where the demonstration's outside systems listen: chosen once for a folder, never in the way."""

import json
import socket
from dataclasses import astuple

import pytest
from django.conf import settings

from proposals.demonstration import ports

pytestmark = pytest.mark.once


class TestThePorts:
    def test_are_chosen_once_for_a_folder_and_kept_there(self, tmp_path):
        chosen = ports.ports(tmp_path)
        assert chosen.are_free()
        assert len(set(astuple(chosen))) == 3
        assert all(ports.LOWEST <= port < ports.HIGHEST for port in astuple(chosen))
        assert ports.ports(tmp_path) == chosen
        assert [path.name for path in tmp_path.iterdir()] == ["demonstration-ports.json"]

    def test_are_others_for_another_folder(self, tmp_path):
        (tmp_path / "other").mkdir()
        assert ports.ports(tmp_path / "other") != ports.ports(tmp_path)

    def test_that_somebody_listens_on_are_not_free_and_not_chosen(self, tmp_path):
        chosen = ports.ports(tmp_path)
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", chosen.smtp))
            listener.listen()
            assert not chosen.are_free()
            assert chosen.smtp not in astuple(ports.choose(tmp_path))

    @pytest.mark.parametrize(
        "kept", ["", "{", "[]", "{}", json.dumps({"provider": "1", "smtp": 2, "mailbox": 3})]
    )
    def test_that_cannot_be_read_are_chosen_anew(self, tmp_path, kept):
        ports.kept_in(tmp_path).write_text(kept)
        assert ports.ports(tmp_path) == ports.read(tmp_path)

    def test_are_known_to_the_settings_which_let_http_actions_reach_the_provider(self):
        assert ports.read(settings.DATA_DIR) == settings.DEMO_PORTS
        assert settings.DEMO_PORTS.provider_host in settings.HTTP_HOSTS


class TestTheMailServer:
    CHOSEN = ports.Ports(20_001, 20_002, 20_003)

    def test_is_the_demonstrations_own_unless_one_is_given(self):
        mine, theirs, own = "Me <me@x.example>", "smtp://mail.example:25", "smtp://127.0.0.1:20002"
        senders = (ports.SENDER, ports.SHOP_SENDER)
        assert ports.mail(None, "", "", self.CHOSEN) == (own, *senders)
        assert ports.mail(None, mine, mine, self.CHOSEN) == (own, mine, mine)
        assert ports.mail(theirs, "", "", self.CHOSEN) == (theirs, "", "")

    def test_is_none_where_none_is_wanted(self):
        assert ports.mail("", "", "", self.CHOSEN) == ("", "", "")
        assert ports.mail(None, "", "", None) == ("", "", "")
