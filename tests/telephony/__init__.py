"""Real telephony for tests: a real Asterisk, SIPp callers and phones, and the evidence that they leave.

`packages` fetches the programs, `asterisk` runs one in a folder of its own as `deploy/asterisk/` configures it,
`sipp` plays the people, `script` has them do what a scenario's `real:` section says, `messages` reads what they said in
SIP, `evidence` holds it against the disposition. `python -m tests.telephony` leaves an Asterisk running for
experiments. Tests with real calls live in this folder and use the fixtures of `conftest`; everything is synchronous, so
a test in trio calls it by `trio.to_thread.run_sync`.

    with People(asterisk, ["PJSIP/101"], {"PJSIP/101": {"does": "answer", "after": 1, "talks": 2}}) as people:
        with Caller(asterisk, "+74951112233", "89161230099") as caller:
            caller.call()
            caller.wait_end()
            people.wait_over()
            evidence.add(Proof("1", "open/answered", "", "answered", caller.events, people.events))
"""
