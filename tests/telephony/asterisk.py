"""A real Asterisk for a test: its own configuration, ports and folder, up within two seconds and gone with the test.

The configuration is the one that users are given in `deploy/asterisk/`, with the addresses of the test put in, plus
what a running server needs besides. Several can run at once. Everything is bound to 127.0.0.1, without a network
namespace: the router under test and the SIPp parties must reach it, and would all have to be started inside. Only
Asterisk's resolver listens elsewhere (a wildcard UDP socket of its own).
"""

from __future__ import annotations

import csv
import shutil
import subprocess
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from . import sound
from .packages import Tree, tree
from .ports import Ports

DEPLOY = Path(__file__).resolve().parents[2] / "deploy" / "asterisk"
CALLER_ADDRESS = "127.0.0.2"
"""Where the provider's side of the trunk is: callers come from here, and mobiles are called there."""
PHONES = ("101", "102", "103", "104", "105", "106", "107", "108", "109", "110")
PASSWORD = "telephony-test"
_BOOT_S = 30.0


class AsteriskFailed(RuntimeError):
    """Asterisk did not start, or died; the message carries the end of its log."""


@dataclass(frozen=True)
class Channel:
    """One line of `core show channels concise`."""

    name: str
    context: str
    extension: str
    state: str
    application: str
    data: str
    caller: str
    bridge: str
    uniqueid: str


class Asterisk:
    """An Asterisk with the phones `phones` (endpoints `PJSIP/<name>`, unregistered at first) and the trunk `trunk`.

    Use as a context manager. `ari_url`, `ari_user` and `ari_password` are for a router; calls to any number enter the
    context `kommutator` of `deploy/asterisk/extensions.conf`, and `dialplan` is added to that file: `[kommutator](+)`
    with a number of its own comes before the router. `fallback` is what the dialplan rings when no router is there.
    A folder that was made here goes with the test, and is kept with all logs when the test fails.
    """

    agi: str | None = None
    """Where its router listens by FastAGI, as host:port; None: its router comes by ARI."""
    ari_user = "kommutator"
    ari_password = PASSWORD

    def __init__(
        self,
        folder: Path | None = None,
        *,
        phones: Sequence[str] = PHONES,
        dialplan: str = "",
        fallback: str = "PJSIP/101",
        fallback_seconds: int = 30,
    ) -> None:
        self._tree = tree()
        self._own_folder = folder is None
        self.folder = folder or Path(tempfile.mkdtemp(prefix="kommutator-asterisk-"))
        self.folder.mkdir(parents=True, exist_ok=True)
        self.ports = Ports.take()
        self.phones = tuple(phones)
        self._dialplan = dialplan
        self._fallback = fallback
        self._fallback_seconds = fallback_seconds
        self.parties = ExitStack()
        """What is closed before Asterisk is: every SIPp party enters itself here."""
        self._process: subprocess.Popen[bytes] | None = None
        self.boot_seconds = 0.0

    @property
    def tree(self) -> Tree:
        """The packages that it runs from."""
        return self._tree

    @property
    def sip_address(self) -> str:
        """Where it takes SIP, as host:port."""
        return f"127.0.0.1:{self.ports.sip}"

    @property
    def ari_url(self) -> str:
        """The base of ARI, without the trailing `/ari`."""
        return f"http://127.0.0.1:{self.ports.http}"

    @property
    def trunk_port(self) -> int:
        """The port on `CALLER_ADDRESS` to which numbers are dialled through the trunk."""
        return self.ports.base + 2

    @property
    def recordings(self) -> Path:
        """The folder of stored recordings."""
        return self.folder / "spool" / "recording"

    @property
    def log(self) -> Path:
        """The full log."""
        return self.folder / "log" / "full"

    def start(self) -> None:
        """Writes the configuration, starts, and returns when everything is booted; raises `AsteriskFailed`."""
        self._configure()
        started = time.monotonic()
        with (self.folder / "log" / "console").open("wb") as console:
            self._process = subprocess.Popen(
                [*self._command(), "-f", "-n"],
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        socket = self.folder / "run" / "asterisk.ctl"
        while time.monotonic() < started + _BOOT_S:
            if self._process.poll() is not None:
                raise AsteriskFailed(f"it exited with {self._process.returncode}\n{self._tail()}")
            if socket.exists() and "fully booted" in self._remote("core waitfullybooted"):
                self.boot_seconds = time.monotonic() - started
                return
            time.sleep(0.02)
        raise AsteriskFailed(f"it was not ready within {_BOOT_S} s\n{self._tail()}")

    def cli(self, command: str) -> str:
        """What the console command prints; raises `AsteriskFailed` when Asterisk is not there."""
        if self._process is None or self._process.poll() is not None:
            raise AsteriskFailed(f"it is not running\n{self._tail()}")
        return self._remote(command)

    def channels(self) -> list[Channel]:
        """The channels there are now."""
        found: list[Channel] = []
        for line in self.cli("core show channels concise").splitlines():
            fields = line.split("!")
            if len(fields) >= 14:
                name, context, extension, _, state, application, data, caller = fields[:8]
                found.append(
                    Channel(name, context, extension, state, application, data, caller, fields[12], fields[13])
                )
        return found

    def wait_idle(self, seconds: float = 30.0) -> list[Channel]:
        """Waits until there is no channel any more, and returns those that are there all the same."""
        deadline = time.monotonic() + seconds
        while (left := self.channels()) and time.monotonic() < deadline:
            time.sleep(0.02)
        return left

    def wait_no_bridge(self, seconds: float = 30.0) -> list[str]:
        """Waits until no call has a bridge any more, and returns those that are there all the same.

        A bridge is dissolved a moment after its last channel has gone, by a thread of its own.
        """
        deadline = time.monotonic() + seconds
        while (left := self._bridges()) and time.monotonic() < deadline:
            time.sleep(0.02)
        return left

    def cdr(self) -> list[dict[str, str]]:
        """The call detail records written so far, oldest first."""
        path = self.folder / "log" / "cdr-csv" / "Master.csv"
        if not path.exists():
            return []
        with path.open(newline="") as file:
            return [dict(zip(_CDR, row, strict=True)) for row in csv.reader(file)]

    def close(self, *, keep: bool = False) -> None:
        """Kills it (an orderly stop takes a second), and removes the folder unless it was given or `keep` is set."""
        self.parties.close()
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self.ports.close()
        if self._own_folder and not keep:
            shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.close(keep=True)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close(keep=kind is not None)

    def _bridges(self) -> list[str]:
        return [line for line in self.cli("bridge show all").splitlines() if "kt~" in line]

    def _command(self) -> list[str]:
        return [*self._tree.command("usr/sbin/asterisk"), "-C", str(self.folder / "etc" / "asterisk.conf")]

    def _remote(self, command: str) -> str:
        done = subprocess.run(
            [*self._command(), "-rx", command], check=False, capture_output=True, text=True, timeout=30
        )
        return done.stdout

    def _tail(self) -> str:
        parts = []
        for name in ("console", "full"):
            path = self.folder / "log" / name
            if path.exists():
                parts.append(f"--- {path}\n" + path.read_text(errors="replace")[-3000:])
        return "\n".join(parts)

    def _configure(self) -> None:
        for name in (
            "etc",
            "lib",
            "spool/recording",
            "spool/outgoing",
            "run",
            "log/cdr-csv",
            "db",
            "moh",
            "sounds",
            "keys",
        ):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        sound.tone(self.folder / "moh" / "hold.wav", hertz=440, seconds=10)
        for name, text in self._files().items():
            (self.folder / "etc" / name).write_text(text)

    def _files(self) -> dict[str, str]:
        first, last = self.ports.rtp
        return {
            "asterisk.conf": self._asterisk_conf(),
            "modules.conf": _modules_conf(self._tree),
            "logger.conf": "[general]\ndateformat = %F %T.%6q\n[logfiles]\nfull => notice,warning,error,verbose,dtmf\n",
            "rtp.conf": f"[general]\nrtpstart = {first}\nrtpend = {last}\n",
            "musiconhold.conf": f"[default]\nmode = files\ndirectory = {self.folder}/moh\n",
            "cdr.conf": "[general]\nenable = yes\nunanswered = yes\ncongestion = yes\n"
            "[csv]\nusegmtime = yes\nloguniqueid = yes\nloguserfield = yes\n",
            "indications.conf": _INDICATIONS,
            **dict.fromkeys(_EMPTY, ""),
            "http.conf": _adapted("http.conf", {"bindport = 8088": f"bindport = {self.ports.http}"}),
            "ari.conf": _adapted("ari.conf", {"password = change-me": f"password = {PASSWORD}"}),
            "pjsip.conf": self._pjsip_conf(),
            "extensions.conf": self._extensions_conf(),
        }

    def _asterisk_conf(self) -> str:
        root, folder = self._tree.root, self.folder
        modules = next(self._tree.root.glob("usr/lib/**/asterisk/modules"))
        return (
            f"[directories]\nastetcdir => {folder}/etc\nastmoddir => {modules}\nastvarlibdir => {folder}/lib\n"
            f"astdbdir => {folder}/db\nastkeydir => {folder}\nastdatadir => {root}/usr/share/asterisk\n"
            f"astagidir => {folder}/lib\nastspooldir => {folder}/spool\nastrundir => {folder}/run\n"
            f"astlogdir => {folder}/log\nastsbindir => {root}/usr/sbin\n"
            "[options]\nverbose = 4\nhideconnect = yes\nsystemname = test\n"
        )

    def _pjsip_conf(self) -> str:
        adapted = _adapted(
            "pjsip.conf",
            {
                "bind = 0.0.0.0:5060": f"bind = {self.sip_address}",
                "contact = sip:192.0.2.1:5060": f"contact = sip:{CALLER_ADDRESS}:{self.trunk_port}",
                "match = 192.0.2.1": f"match = {CALLER_ADDRESS}",
                "qualify_frequency = 30": "qualify_frequency = 0",
            },
        )
        before, _, rest = adapted.partition("; One phone.")
        _, _, after = rest.partition("; ---- the trunk")
        phones = "".join(
            f'[{name}](phone)\naors = {name}\ncallerid = "{name}" <{name}>\n[{name}](phone-aor)\n'
            for name in self.phones
        )
        return f"{before}{phones}; ---- the trunk{after}"

    def _extensions_conf(self) -> str:
        adapted = _adapted(
            "extensions.conf",
            {
                "KOMMUTATOR_FALLBACK = PJSIP/101": f"KOMMUTATOR_FALLBACK = {self._fallback}",
                "KOMMUTATOR_FALLBACK_SECONDS = 30": f"KOMMUTATOR_FALLBACK_SECONDS = {self._fallback_seconds}",
            },
        )
        return f"{adapted}\n{self._dialplan}"


def _adapted(name: str, changes: dict[str, str]) -> str:
    """A file of `deploy/asterisk/` with some of its lines changed; each must be there exactly once."""
    lines = (DEPLOY / name).read_text(encoding="utf-8").splitlines()
    for old, new in changes.items():
        if lines.count(old) != 1:
            raise AsteriskFailed(f"deploy/asterisk/{name} does not have the line {old!r} exactly once")
        lines[lines.index(old)] = new
    return "\n".join(lines) + "\n"


def _modules_conf(packages: Tree) -> str:
    """Only what calls need: all modules of the package take four seconds longer."""
    there = {path.stem for path in packages.root.glob("usr/lib/**/asterisk/modules/*.so")}
    loads = "".join(f"load = {name}.so\n" for name in _MODULES.split() if name in there)
    return f"[modules]\nautoload = no\n{loads}"


_CDR = (
    "accountcode", "src", "dst", "dcontext", "clid", "channel", "dstchannel", "lastapp", "lastdata", "start", "answer",
    "end", "duration", "billsec", "disposition", "amaflags", "uniqueid", "userfield",
)  # fmt: skip
_INDICATIONS = """[general]
country = ru
[ru]
description = Russian Federation
ringcadence = 1000,4000
dial = 425
busy = 425/350,0/350
ring = 425/1000,0/4000
congestion = 425/175,0/175
"""
_EMPTY = (
    "acl.conf", "ccss.conf", "cel.conf", "features.conf", "pjproject.conf", "udptl.conf", "websocket_client.conf",
)  # fmt: skip
_MODULES = """
    pbx_config res_timing_timerfd res_sorcery_config res_sorcery_memory res_sorcery_astdb res_http_websocket
    res_websocket_client res_crypto
    codec_alaw codec_ulaw codec_a_mu codec_gsm codec_resample format_wav format_pcm format_gsm format_sln
    bridge_simple bridge_softmix bridge_holding bridge_native_rtp bridge_builtin_features
    res_rtp_asterisk res_musiconhold
    res_pjproject res_pjsip res_pjsip_session res_pjsip_sdp_rtp res_pjsip_caller_id res_pjsip_dtmf_info
    res_pjsip_endpoint_identifier_ip res_pjsip_endpoint_identifier_user res_pjsip_registrar res_pjsip_nat
    res_pjsip_authenticator_digest res_pjsip_outbound_authenticator_digest res_pjsip_rfc3326 res_pjsip_header_funcs res_pjsip_refer
    res_pjsip_logger res_pjsip_pubsub chan_pjsip chan_bridge_media
    res_stasis res_stasis_answer res_stasis_device_state res_stasis_playback res_stasis_recording res_stasis_snoop
    app_stasis res_ari_model res_ari res_ari_applications res_ari_asterisk res_ari_bridges res_ari_channels
    res_ari_device_states res_ari_endpoints res_ari_events res_ari_playbacks res_ari_recordings res_ari_sounds
    res_speech res_agi app_dial app_playback app_record app_echo app_read app_verbose app_stack app_senddtmf app_exec app_while
    func_callerid func_cdr func_channel func_logic func_strings func_timeout func_hangupcause func_devstate
    func_pjsip_endpoint func_pjsip_contact func_pjsip_aor
    cdr_csv pbx_spool res_clioriginate
"""
