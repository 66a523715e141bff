"""`python -m telephony` in tests/ starts an Asterisk with ARI on loopback, and says where it is, until interrupted."""

from __future__ import annotations

import signal
import sys

from .asterisk import Asterisk


def main() -> None:
    """Runs until SIGINT or SIGTERM."""
    with Asterisk() as asterisk:
        lines = [
            f"ARI    {asterisk.ari_url}/ari  user {asterisk.ari_user}  password {asterisk.ari_password}",
            f"SIP    {asterisk.sip_address}  phones {' '.join(asterisk.phones)}  trunk to port {asterisk.trunk_port}",
            f"folder {asterisk.folder}",
        ]
        sys.stdout.write("\n".join(lines) + "\n")
        sys.stdout.flush()
        signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
        try:
            signal.pause()
        except KeyboardInterrupt:
            sys.stdout.write("stopping\n")


if __name__ == "__main__":
    main()
