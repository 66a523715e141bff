"""What queueing theory says of agents who serve calls one at a time.

Sources: A. K. Erlang, "Solution of some Problems in the Theory of Probabilities of Significance in Automatic Telephone
Exchanges" (1917), for B and C; C. Palm, "Research on telephone traffic carried by full availability groups" (1957), and
A. Mandelbaum and S. Zeltyn, "The Palm/Erlang-A Queue, with Applications to Call Centers" (2005), for A.
"""

from __future__ import annotations

import math
from itertools import count


def blocked(agents: int, load: float) -> float:
    """Erlang B: the share of calls that find all agents busy, where no call waits.

    Arrivals are Poisson, talk times of any kind; `load` is in erlangs, arrivals in a mean talk time.
    """
    inverse = 1.0
    for n in range(1, agents + 1):
        inverse = 1 + inverse * n / load
    return 1 / inverse


def waits(agents: int, load: float) -> float:
    """Erlang C: the share of calls that find all agents busy, where every call waits until it is served.

    Arrivals are Poisson, talk times exponential; `load` is in erlangs, less than there are agents.
    """
    busy = blocked(agents, load)
    return busy / (1 - load / agents * (1 - busy))


def mean_wait(agents: int, load: float, talk_s: float) -> float:
    """Of all calls of a queue as in `waits`, in seconds."""
    return waits(agents, load) * talk_s / (agents - load)


def served_within(agents: int, load: float, talk_s: float, seconds: float) -> float:
    """The share of all calls of a queue as in `waits` that are served within so many seconds, in order of coming."""
    return 1 - waits(agents, load) * math.exp(-(agents - load) * seconds / talk_s)


def gives_up(agents: int, load: float, talk_s: float, patience_s: float) -> float:
    """Erlang A: the share of calls whose callers leave before they are served.

    As `waits`, but for callers' patience, which is exponential with that mean; any load. The stationary chances of a birth
    and death process, summed until they add nothing: callers leave by `1 / patience_s` each who waits.
    """
    arrivals, served, leaves = load / talk_s, 1 / talk_s, 1 / patience_s
    chance = total = 1.0
    left = 0.0
    for present in count(1):
        queued = max(0, present - agents)
        chance *= arrivals / (min(present, agents) * served + queued * leaves)
        total += chance
        left += chance * queued * leaves
        if queued and chance < total * 1e-16:
            return left / total / arrivals
    raise AssertionError("chances fall in the end")
