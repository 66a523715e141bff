"""SIPp scenarios (XML) of the parties: a caller that takes orders while the call lasts, and phones that behave by plan.

A caller waits in a loop for what Asterisk sends, and for orders from the test: a MESSAGE within its own call hangs
up, a PUBLISH sends a key as SIP INFO. Such orders are datagrams to the caller's SIP port with its Call-ID; the log
parser leaves them out. A phone has a plan for each time it is rung, counted in a global variable of SIPp. While it
rings, a MESSAGE lets it do at once what it will do; once it has answered, a MESSAGE hangs up, a PUBLISH presses its
hold key, a SUBSCRIBE takes the call back, and a REFER presses its transfer key and dials the order's body.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, Self
from xml.sax.saxutils import quoteattr

Does = Literal["answer", "busy", "decline", "silent", "unreachable"]


@dataclass(frozen=True)
class Behaviour:
    """What a phone does when it is rung: after `after` seconds of ringing it answers, or refuses.

    `talks` is how many seconds after its answer the callee hangs up; `None` leaves that to the other side.
    """

    does: Does = "silent"
    after: float = 0.0
    talks: float | None = None

    def faster(self, speed: float) -> Self:
        """The same with its seconds divided by `speed`."""
        talks = None if self.talks is None else self.talks / speed
        return replace(self, after=self.after / speed, talks=talks)


def caller(*, user: str, caller: str | None, media_address: str, media_port: int, local_port: int) -> str:
    """A caller with the number `caller` (`None`: withheld) who dials `user`."""
    identity = "sip:anonymous@anonymous.invalid" if caller is None else f"sip:{caller}@[local_ip]:{local_port}"
    name = '"Anonymous" ' if caller is None else ""
    privacy = "Privacy: id\n" if caller is None else ""
    sdp = _sdp(media_address, media_port)
    common = (
        f"From: {name}<{identity}>;tag=c[pid][call_number]\n"
        f"To: <sip:{user}@[remote_ip]:[remote_port]>{{to_tag}}\nCall-ID: [call_id]\n"
    )
    contact = f"Contact: <sip:caller@[local_ip]:{local_port}>\n"
    uri = f"sip:{user}@[remote_ip]:[remote_port]"
    via = "Via: SIP/2.0/[transport] [local_ip]:[local_port];branch={branch}\nMax-Forwards: 70\n"
    own, invite_branch = "z9hG4bK-[pid]-[call_number]-[cseq]", "z9hG4bK-invite-[pid]-[call_number]"
    known = common.format(to_tag="[peer_tag_param]")
    invite = (
        f"INVITE {uri} SIP/2.0\n{via.format(branch=invite_branch)}{common.format(to_tag='')}CSeq: 1 INVITE\n"
        f"{contact}{privacy}Allow: INVITE, ACK, CANCEL, BYE, INFO, UPDATE, OPTIONS\n"
        f"Content-Type: application/sdp\nContent-Length: [len]\n\n{sdp}"
    )
    cancel = (
        f"CANCEL {uri} SIP/2.0\n{via.format(branch=invite_branch)}{common.format(to_tag='')}CSeq: 1 CANCEL\n"
        "Content-Length: 0\n\n"
    )
    refused_ack = f"ACK {uri} SIP/2.0\n{via.format(branch=invite_branch)}{known}CSeq: 1 ACK\nContent-Length: 0\n\n"
    ack = f"ACK [next_url] SIP/2.0\n{via.format(branch=own)}{known}CSeq: 1 ACK\n{contact}Content-Length: 0\n\n"
    bye = f"BYE [next_url] SIP/2.0\n{via.format(branch=own)}{known}CSeq: [cseq] BYE\nContent-Length: 0\n\n"
    info = (
        f"INFO [next_url] SIP/2.0\n{via.format(branch=own)}{known}CSeq: [cseq] INFO\n"
        "Content-Type: application/dtmf-relay\nContent-Length: [len]\n\nSignal=[$key]\nDuration=160\n"
    )
    refusals = "".join(_recv(response=code, optional=True, next=20) for code in _REFUSALS)
    return _scenario(
        _send(invite, retrans=True)
        + _label(1)
        + "".join(_recv(response=code, optional=True) for code in ("100", "180", "181", "182", "183"))
        + _recv(response="200", optional=True, next=30, routes=True)
        + refusals
        + _recv(request="MESSAGE", next=10)
        # the caller gives up before an answer
        + _label(10)
        + _send(cancel, retrans=True)
        + _label(11)
        + "".join(_recv(response=code, optional=True) for code in ("100", "180", "181", "182", "183"))
        + _recv(response="200", optional=True, next=12, test="crossed", routes=True, actions=_CROSSED)
        + refusals
        + _recv(request="MESSAGE", next=11)
        # the answer crossed with the CANCEL
        + _label(12)
        + _send(ack, next=40)
        # refused
        + _label(20)
        + _send(refused_ack, next=90)
        # answered
        + _label(30)
        + _send(ack)
        + _label(31)
        + _recv(request="BYE", optional=True, next=50)
        + _recv(request="INVITE", optional=True, next=60)
        + _recv(request="PUBLISH", optional=True, next=70, actions=_KEY)
        + _recv(request="MESSAGE", next=40)
        + _label(40)
        + _send(bye, retrans=True)
        + _label(41)
        + _recv(request="BYE", optional=True, next=50)
        + _recv(response="200", next=90)
        + _label(50)
        + _send(_reply("200 OK"), next=90)
        + _label(60)
        + _send(_reply("200 OK", f"{contact}Content-Type: application/sdp\n", sdp), retrans=True)
        + _recv(request="ACK", next=31)
        + _label(70)
        + _send(info, retrans=True)
        + _recv(request="BYE", optional=True, next=50)
        + _recv(response="200", next=31)
        + _label(90)
        + _nop()
    )


def phones(plans: Mapping[str | None, Sequence[Behaviour]], *, media_address: str, media_port: int) -> str:
    """Phones behind one SIP port: for each dialled number (`None`: any) what it does each time it is rung.

    The last behaviour holds for every further time. A number without a plan is answered 404.
    """
    blocks: list[str] = []
    choice: list[str] = []
    label = 100 + len(plans)
    for line, (number, behaviours) in enumerate(plans.items()):
        if number is not None:
            choice.append(_nop(actions=f'<strcmp assign_to="differs" variable="number" value={quoteattr(number)}/>'))
            choice.append(
                _nop(
                    next=100 + line,
                    test="other",
                    actions='<test assign_to="other" variable="differs" compare="not_equal" value="0"/>',
                )
            )
        choice.append(_nop(actions=f'<add assign_to="rung{line}" value="1"/>'))
        for turn, behaviour in enumerate(behaviours, start=1):
            last = turn == len(behaviours)
            comparison = "greater_than_equal" if last else "equal"
            choice.append(
                _nop(
                    next=label,
                    test="now",
                    actions=f'<test assign_to="now" variable="rung{line}" compare="{comparison}" value="{turn}"/>',
                )
            )
            blocks.append(_behaviour(behaviour, label, _sdp(media_address, media_port)))
            label += 10
        choice.append(_label(100 + line))
    keep = "".join(
        f'<ereg regexp=".*" search_in="hdr" header="{header}:" check_it="true" assign_to="{variable}"/>'
        for header, variable in (("Via", "via"), ("From", "from"), ("To", "to"), ("CSeq", "cseq_line"))
    )
    keep += '<ereg regexp="sip:([^@]*)@" search_in="msg" assign_to="uri,number"/>'
    body = (
        # a CANCEL that comes in the instant between two steps is taken all the same
        '<recv request="CANCEL" optional="global" next="81"/>\n'
        f'<recv request="INVITE" crlf="true"><action>{keep}</action></recv>\n'
        + "".join(choice)
        + _send(_invite_reply("404 Not Found"), next=80)
        + "".join(blocks)
        # a refusal's ACK ends the call
        + _label(80)
        + _recv(request="ACK", next=90)
        # cancelled while ringing
        + _label(81)
        + _send(_reply("200 OK"))
        + _send(_invite_reply("487 Request Terminated"), retrans=True)
        + _recv(request="ACK", next=90)
        # the other side hangs up
        + _label(82)
        + _send(_reply("200 OK"), next=90)
        # this side hangs up
        + _label(83)
        + _send(_callee_bye(), retrans=True)
        + _recv(request="BYE", optional=True, next=82)
        + _recv(response="200", next=90)
        + _label(90)
        + _nop()
    )
    counters = ",".join(f"rung{line}" for line in range(len(plans)))
    answers = any(behaviour.does == "answer" for behaviours in plans.values() for behaviour in behaviours)
    unused = f'<Reference variables="uri,via,from,to,cseq_line,number{",dialled" if answers else ""}"/>\n'
    head = f'<Global variables="{counters}"/>\n' if counters else ""
    return _scenario(body, head=head, tail=unused)


_REFUSALS = ("400", "403", "404", "408", "480", "484", "486", "487", "488", "500", "502", "503", "504", "600", "603")

_CROSSED = '<ereg regexp="INVITE" search_in="hdr" header="CSeq:" assign_to="crossed"/>'
_DIALLED = '<ereg regexp="[0-9A-Za-z*#+-]+" search_in="body" assign_to="dialled"/>'
_KEY = '<ereg regexp="[0-9A-D*#]" search_in="body" assign_to="key"/>'


def _behaviour(behaviour: Behaviour, label: int, sdp: str) -> str:
    start = _label(label)
    wait_ms = int(behaviour.after * 1000)
    if behaviour.does == "unreachable":
        return start + _nop(next=90)
    ringing = start + _send(_invite_reply("180 Ringing"))
    if behaviour.does == "silent":
        return ringing + _recv(request="CANCEL", next=81)
    ringing += (
        _recv(request="MESSAGE", optional=True, next=label + 1, timeout_ms=max(wait_ms, 1), on_timeout=label + 1)
        + _recv(request="CANCEL", next=81)
        + _label(label + 1)
    )
    if behaviour.does in ("busy", "decline"):
        status = "486 Busy Here" if behaviour.does == "busy" else "603 Decline"
        refuse = _send(_invite_reply(status), retrans=True, next=80)
        return (start + refuse) if wait_ms == 0 else ringing + refuse
    contact = "Contact: <sip:phone@[local_ip]:[local_port]>\nContent-Type: application/sdp\n"
    talks_ms = None if behaviour.talks is None else max(int(behaviour.talks * 1000), 1)
    return (
        ringing
        + _send(_invite_reply("200 OK", contact, sdp), retrans=True)
        + _label(label + 2)
        + _recv(request="CANCEL", optional=True, next=label + 4)
        + _recv(request="ACK")
        + _label(label + 3)
        # the time that SIPp waits is that of the first of them
        + _recv(request="MESSAGE", optional=True, next=83, timeout_ms=talks_ms, on_timeout=83)
        + _recv(request="PUBLISH", optional=True, next=label + 5)
        + _recv(request="SUBSCRIBE", optional=True, next=label + 6)
        + _recv(request="REFER", optional=True, next=label + 7, actions=_DIALLED)
        + _recv(request="NOTIFY", optional=True, next=label + 8)
        + _recv(request="BYE", next=82)
        # the keys of the phone
        + _label(label + 5)
        + _reinvite(contact, sdp.replace("a=ptime", "a=sendonly\na=ptime"), label + 3)
        + _label(label + 6)
        + _reinvite(contact, sdp, label + 3)
        + _label(label + 7)
        + _send(
            _in_dialog(
                "REFER", "Contact: <sip:phone@[local_ip]:[local_port]>\nRefer-To: <sip:[$dialled]@[remote_ip]>\n"
            ),
            retrans=True,
        )
        + _recv(response="202", next=label + 3)
        + _label(label + 8)
        + _send(_reply("200 OK"), next=label + 3)
        # a CANCEL that crossed with the answer
        + _label(label + 4)
        + _send(_reply("200 OK"), next=label + 2)
    )


def _callee_bye() -> str:
    return _in_dialog("BYE")


def _reinvite(contact: str, sdp: str, following: int) -> str:
    """The phone offers its media anew."""
    return (
        _send(_in_dialog("INVITE", contact, sdp), retrans=True)
        + _recv(response="100", optional=True)
        + _recv(response="200")
        + _send(_in_dialog("ACK"), next=following)
    )


def _in_dialog(method: str, headers: str = "", body: str = "") -> str:
    """A request of the callee's."""
    return (
        f"{method} sip:asterisk@[remote_ip]:[remote_port] SIP/2.0\n"
        f"Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=z9hG4bK-[pid]-[call_number]-[cseq]-{method}\n"
        "Max-Forwards: 70\n"
        f"From:[$to];tag=p[pid][call_number]\nTo:[$from]\nCall-ID: [call_id]\nCSeq: [cseq] {method}\n"
        f"{headers}Content-Length: {'[len]' if body else '0'}\n\n{body}"
    )


def _invite_reply(status: str, headers: str = "", body: str = "") -> str:
    return (
        f"SIP/2.0 {status}\nVia:[$via]\nFrom:[$from]\nTo:[$to];tag=p[pid][call_number]\nCall-ID: [call_id]\n"
        f"CSeq:[$cseq_line]\n{headers}Content-Length: {'[len]' if body else '0'}\n\n{body}"
    )


def _reply(status: str, headers: str = "", body: str = "") -> str:
    return (
        f"SIP/2.0 {status}\n[last_Via:]\n[last_From:]\n[last_To:]\n[last_Call-ID:]\n[last_CSeq:]\n{headers}"
        f"Content-Length: {'[len]' if body else '0'}\n\n{body}"
    )


def _sdp(address: str, port: int) -> str:
    return (
        f"v=0\no=party 1 1 IN IP4 {address}\ns=-\nc=IN IP4 {address}\nt=0 0\nm=audio {port} RTP/AVP 8 101\n"
        "a=rtpmap:8 PCMA/8000\na=rtpmap:101 telephone-event/8000\na=fmtp:101 0-16\na=ptime:20\n"
    )


def _scenario(body: str, *, head: str = "", tail: str = "") -> str:
    return f'<?xml version="1.0" encoding="UTF-8" ?>\n<scenario name="party">\n{head}{body}{tail}</scenario>\n'


def _label(number: int) -> str:
    return f'<label id="{number}"/>\n'


def _send(message: str, *, retrans: bool = False, next: int | None = None) -> str:
    attributes = (' retrans="500"' if retrans else "") + (f' next="{next}"' if next is not None else "")
    return f"<send{attributes}><![CDATA[\n{message}\n]]></send>\n"


def _recv(
    *,
    request: str | None = None,
    response: str | None = None,
    optional: bool = False,
    next: int | None = None,
    timeout_ms: int | None = None,
    on_timeout: int | None = None,
    routes: bool = False,
    test: str | None = None,
    actions: str = "",
) -> str:
    attributes = f'request="{request}"' if request else f'response="{response}"'
    if optional:
        attributes += ' optional="true"'
    if next is not None:
        attributes += f' next="{next}"'
    if timeout_ms is not None:
        attributes += f' timeout="{timeout_ms}" ontimeout="{on_timeout}"'
    if routes:
        attributes += ' rrs="true"'
    if test is not None:
        attributes += f' test="{test}"'
    return f"<recv {attributes}>{_action(actions)}</recv>\n"


def _nop(*, next: int | None = None, test: str | None = None, actions: str = "") -> str:
    attributes = (f' next="{next}"' if next is not None else "") + (f' test="{test}"' if test else "")
    return f"<nop{attributes}>{_action(actions)}</nop>\n"


def _action(actions: str) -> str:
    return f"<action>{actions}</action>" if actions else ""
