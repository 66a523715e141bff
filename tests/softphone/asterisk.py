"""An Asterisk that takes telephones of browsers, as `deploy/asterisk` says and `kommutator softphones` prints."""

from __future__ import annotations

from collections.abc import Sequence

import trustme

from kommutator.cli.softphones import sections
from kommutator.desk.softphone.servers import SoftphoneServer
from tests.telephony.asterisk import Asterisk

SECRET = "a secret of the tests"
_MODULES = ("res_pjsip_transport_websocket", "res_srtp", "codec_opus_open_source", "res_format_attr_opus")


class WebAsterisk(Asterisk):
    """With a websocket by TLS on a port of its own, `users` as softphones, and `phones` on desks."""

    def __init__(self, users: Sequence[str], dialplan: str = "", phones: Sequence[str] = ()) -> None:
        super().__init__(phones=phones, dialplan=dialplan)
        self._users = users

    @property
    def server(self) -> SoftphoneServer:
        """What the desk is told of it."""
        return SoftphoneServer(f"wss://127.0.0.1:{self.ports.base + 3}/ws", SECRET)

    def crash(self) -> None:
        """SIGKILL: `start` starts it anew."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def _files(self) -> dict[str, str]:
        files = super()._files()
        certificate = trustme.CA().issue_cert("127.0.0.1")
        pem, key = self.folder / "keys" / "pbx.pem", self.folder / "keys" / "pbx.key"
        pem.write_bytes(b"".join(blob.bytes() for blob in certificate.cert_chain_pems))
        key.write_bytes(certificate.private_key_pem.bytes())
        http = files["http.conf"]
        for name, value, ours in (
            ("tlsenable", "yes", "yes"),
            ("tlsbindaddr", "0.0.0.0:8089", f"127.0.0.1:{self.ports.base + 3}"),
            ("tlscertfile", "/etc/asterisk/keys/pbx.pem", str(pem)),
            ("tlsprivatekey", "/etc/asterisk/keys/pbx.key", str(key)),
        ):
            assert f";{name} = {value}\n" in http, name
            http = http.replace(f";{name} = {value}\n", f"{name} = {ours}\n")
        printed = "".join(sections(self.server, user) for user in self._users)
        return {
            **files,
            "http.conf": http,
            "modules.conf": files["modules.conf"] + "".join(f"load = {name}.so\n" for name in _MODULES),
            "pjsip.conf": files["pjsip.conf"].replace("; #include pjsip_softphones.conf", printed),
        }
