"""A PBX in memory, with callers and phones that behave as told: in virtual time, or as a process of its own in real time.

`agenda` is its time, `behaviour` the people, `world` what exists in the PBX whether a router watches or not, `call` and
`adapter` the ports. Everything happens by the agenda, one thing after the other, so that equal inputs give equal runs.
No router is needed for it to go on: one may be cancelled and another come, as with a real PBX.

As a process, `host` is the PBX with its socket, `routed` and `controlled` its side of a router's connection and of a hand's;
`remote` is the router's side, `control` and `control_asyncio` the hand's. `codec` is what they all say.
"""
