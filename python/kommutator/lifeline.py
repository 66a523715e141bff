"""A process that is not to outlive its supervisor, however that one ends."""

from __future__ import annotations

import os
import signal
import threading
from typing import Final

LIFELINE: Final = "KOMMUTATOR_LIFELINE"
"""The variable with the number of the file descriptor that ends with the supervisor: a pipe's reading end."""
_GRACE_S = 20.0


def hold_lifeline() -> None:
    """Stop this process when its supervisor is gone: as by SIGTERM, and by force after 20 s.

    The supervisor holds the other end of a pipe and never writes: its end is this pipe's, however it ended.
    """
    number = os.environ.pop(LIFELINE, "")
    if not number.isdigit():
        return
    line = int(number)
    os.set_inheritable(line, False)
    main = threading.main_thread().ident
    assert main is not None

    def watch() -> None:
        while os.read(line, 1):
            pass
        # To the main thread: it may wait in a call that only a signal of its own interrupts.
        signal.pthread_kill(main, signal.SIGTERM)
        threading.Event().wait(_GRACE_S)
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=watch, name="lifeline", daemon=True).start()
