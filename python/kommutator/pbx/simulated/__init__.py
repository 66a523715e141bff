"""A PBX in memory, with callers and phones that behave as told, in virtual time.

`agenda` is its time, `behaviour` the people, `world` what exists in the PBX whether a router watches or not, `call` and
`adapter` the ports. Everything happens by the agenda, one thing after the other, so that equal inputs give equal runs.
No router is needed for it to go on: one may be cancelled and another come, as with a real PBX.
"""
