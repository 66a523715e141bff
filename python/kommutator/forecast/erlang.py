"""What queueing theory says of agents who serve calls one at a time.

Source: A. K. Erlang, "Solution of some Problems in the Theory of Probabilities of Significance in Automatic Telephone
Exchanges" (1917).
"""

from __future__ import annotations


def blocked(agents: int, load: float) -> float:
    """Erlang B: the share of calls that find all agents busy, where no call waits.

    Arrivals are Poisson, talk times of any kind; `load` is in erlangs, arrivals in a mean talk time.
    """
    inverse = 1.0
    for n in range(1, agents + 1):
        inverse = 1 + inverse * n / load
    return 1 / inverse
