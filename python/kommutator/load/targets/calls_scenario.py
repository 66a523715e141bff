"""What SIPp does for each call, as a scenario of its own language, and the words in which it is told and tells.

SIPp runs as the passive side of its third-party call control (`-3pcc`, its reference, "3PCC"): a command by TCP begins a call at
that moment, so arrivals are not SIPp's to choose; commands of the scenario (`sendCmd`) tell how the call goes. A command ends with the
byte 0x1b. While a call lasts, a MESSAGE within its Call-ID makes the caller hang up: `recvCmd` and `recv` cannot be awaited at once.
"""

from __future__ import annotations

from typing import Final

import msgspec

ENDS: Final = b"\x1b"
_REFUSALS: Final = (
    *(
        400,
        401,
        402,
        403,
        404,
        405,
        406,
        407,
        408,
        410,
        413,
        414,
        415,
        416,
        420,
        421,
        423,
        480,
        481,
        482,
        483,
        484,
        485,
    ),
    *(486, 487, 488, 491, 493, 500, 501, 502, 503, 504, 505, 513, 600, 603, 604, 606),
)


class Sign(msgspec.Struct, frozen=True):
    """What SIPp tells of a call."""

    call_id: str
    status: int
    """Of the answer: 18x while it rings, 200, or a refusal; 0 when the call is over."""
    q850: int | None = None
    """The cause of a refusal's Reason, where it has one."""


def begin(call_id: str, did: str, caller: str | None) -> bytes:
    """The command that begins a call. What numbers are written with besides digits, letters, `+`, `*` and `#` is left out."""
    who = "anonymous" if caller is None else _user(caller)
    return f"Call-ID: {call_id}\r\nX-Did: {_user(did)}\r\nX-Caller: {who}\r\n\r\n".encode() + ENDS


def hang_up(call_id: str, address: str, serial: int) -> bytes:
    """The MESSAGE to SIPp's own `address` (host:port) by which a caller hangs up; each with a `serial` of its own."""
    return (
        f"MESSAGE sip:{address} SIP/2.0\r\nVia: SIP/2.0/UDP {address};branch=z9hG4bK-order-{serial}\r\n"
        f"From: <sip:load@{address}>;tag=o{serial}\r\nTo: <sip:{address}>\r\nCall-ID: {call_id}\r\nCSeq: 1 MESSAGE\r\n"
        "Content-Length: 0\r\n\r\n"
    ).encode()


class Signs:
    """Makes signs of bytes, however these are split."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[Sign]:
        """The signs that these bytes complete."""
        commands = (self._rest + data).split(ENDS)
        self._rest = commands.pop()
        return [sign for command in commands if (sign := _sign(command)) is not None]


def _sign(command: bytes) -> Sign | None:
    lines = dict(line.split(": ", 1) for line in command.decode(errors="replace").split("\r\n") if ": " in line)
    call_id, status, cause = (
        lines.get("Call-ID", ""),
        lines.get("X-Status", "").strip(),
        lines.get("X-Cause", "").strip(),
    )
    if not call_id or not status.isdigit():
        return None
    return Sign(call_id, int(status), int(cause) if cause.isdigit() else None)


def _user(number: str) -> str:
    return (
        "".join(letter for letter in number if letter.isascii() and (letter.isalnum() or letter in "+*#")) or "unknown"
    )


def scenario(media_port: int) -> str:
    """The scenario; media is sent to `media_port` of SIPp's own address."""
    refusals = "".join(
        f'<recv response="{status}" optional="true" next="20">{_REASON}</recv>\n' for status in _REFUSALS
    )
    ringing = "".join(f'<recv response="{status}" optional="true" next="2"/>\n' for status in (180, 183))
    passed_over = "".join(f'<recv response="{status}" optional="true"/>\n' for status in (100, 181, 182))
    return f"""<?xml version="1.0" encoding="UTF-8" ?>
<scenario name="load">
<recvCmd><action>
  <ereg regexp="X-Did: ([^[:space:]]+)" search_in="msg" assign_to="did_line,did"/>
  <ereg regexp="X-Caller: ([^[:space:]]+)" search_in="msg" assign_to="caller_line,caller"/>
</action></recvCmd>
{_send(_INVITE.replace("MEDIA_PORT", str(media_port)), retrans=True)}
<label id="1"/>
{passed_over}{ringing}<recv response="200" optional="true" rrs="true" next="30"/>
{refusals}<recv request="MESSAGE" next="10"/>
<label id="2"/>
{_tell("180", next=1)}
<label id="10"/>
{_send(_CANCEL, retrans=True)}
<label id="11"/>
{passed_over}{
        ringing.replace('next="2"', 'next="11"')
    }<recv response="200" optional="true" rrs="true" next="12" test="crossed">
<action><ereg regexp="INVITE" search_in="hdr" header="CSeq:" assign_to="crossed"/></action></recv>
{refusals}<recv request="MESSAGE" next="11"/>
<label id="12"/>
{_send(_ACK, next=40)}
<label id="20"/>
{_send(_REFUSED_ACK)}
{_tell("[$status]", "[$cause]", next=90)}
<label id="30"/>
{_send(_ACK)}
{_tell("200")}
<label id="31"/>
<recv request="BYE" optional="true" next="50"/>
<recv request="INVITE" optional="true" next="60"/>
<recv request="MESSAGE" next="40"/>
<label id="40"/>
{_send(_BYE, retrans=True)}
<label id="41"/>
<recv request="BYE" optional="true" next="50"/>
<recv response="200" next="90"/>
<label id="50"/>
{_send(_reply(), next=90)}
<label id="60"/>
{
        _send(
            _reply(
                f"Contact: <sip:load@[local_ip]:[local_port]>{chr(10)}Content-Type: application/sdp{chr(10)}",
                _SDP.replace("MEDIA_PORT", str(media_port)),
            ),
            retrans=True,
        )
    }
<recv request="ACK" next="31"/>
<label id="90"/>
{_tell("0")}
<Reference variables="did_line,caller_line,status_line,cause_line"/>
</scenario>
"""


_SDP: Final = """v=0
o=load 1 1 IN IP4 [local_ip]
s=-
c=IN IP4 [local_ip]
t=0 0
m=audio MEDIA_PORT RTP/AVP 8 101
a=rtpmap:8 PCMA/8000
a=rtpmap:101 telephone-event/8000
a=fmtp:101 0-16
a=ptime:20
"""
_URI: Final = "sip:[$did]@[remote_ip]:[remote_port]"
_SHARED: Final = f"""Max-Forwards: 70
From: <sip:[$caller]@[local_ip]:[local_port]>;tag=[pid]c[call_number]
To: <{_URI}>TO_TAG
Call-ID: [call_id]
"""
_OF_INVITE: Final = "Via: SIP/2.0/UDP [local_ip]:[local_port];rport;branch=z9hG4bK-invite-[pid]-[call_number]\n"
_OF_ITSELF: Final = "Via: SIP/2.0/UDP [local_ip]:[local_port];rport;branch=z9hG4bK-[pid]-[call_number]-[cseq]\n"
_KNOWN: Final = _SHARED.replace("TO_TAG", "[peer_tag_param]")
_INVITE: Final = (
    f"INVITE {_URI} SIP/2.0\n{_OF_INVITE}{_SHARED.replace('TO_TAG', '')}CSeq: 1 INVITE\n"
    "Contact: <sip:load@[local_ip]:[local_port]>\nAllow: INVITE, ACK, CANCEL, BYE, OPTIONS\n"
    f"Content-Type: application/sdp\nContent-Length: [len]\n\n{_SDP}"
)
_CANCEL: Final = (
    f"CANCEL {_URI} SIP/2.0\n{_OF_INVITE}{_SHARED.replace('TO_TAG', '')}CSeq: 1 CANCEL\nContent-Length: 0\n"
)
_REFUSED_ACK: Final = f"ACK {_URI} SIP/2.0\n{_OF_INVITE}{_KNOWN}CSeq: 1 ACK\nContent-Length: 0\n"
_ACK: Final = f"ACK [next_url] SIP/2.0\n{_OF_ITSELF}{_KNOWN}CSeq: 1 ACK\nContent-Length: 0\n"
_BYE: Final = f"BYE [next_url] SIP/2.0\n{_OF_ITSELF}{_KNOWN}CSeq: [cseq] BYE\nContent-Length: 0\n"
_REASON: Final = (
    '<action><ereg regexp="SIP/2.0 ([0-9]+)" search_in="msg" assign_to="status_line,status"/>'
    '<ereg regexp="Q.850;cause=([0-9]+)" search_in="msg" assign_to="cause_line,cause"/></action>'
)


def _send(message: str, *, retrans: bool = False, next: int | None = None) -> str:
    attributes = (' retrans="500"' if retrans else "") + (f' next="{next}"' if next is not None else "")
    return f"<send{attributes}><![CDATA[\n{message}\n]]></send>"


def _tell(status: str, cause: str = "", *, next: int | None = None) -> str:
    attributes = f' next="{next}"' if next is not None else ""
    told = f"Call-ID: [call_id]\nX-Status: {status}\n" + (f"X-Cause: {cause}\n" if cause else "")
    return f"<sendCmd{attributes}><![CDATA[\n{told}\n]]></sendCmd>"


def _reply(headers: str = "", body: str = "") -> str:
    length = "[len]" if body else "0"
    return (
        "SIP/2.0 200 OK\n[last_Via:]\n[last_From:]\n[last_To:]\n[last_Call-ID:]\n[last_CSeq:]\n"
        f"{headers}Content-Length: {length}\n\n{body}"
    )
