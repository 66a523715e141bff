"""`python -m tests.telephony` starts an Asterisk with ARI on loopback, and says where it is, until interrupted."""

from __future__ import annotations

import signal

from .asterisk import Asterisk


def main() -> None:
    """Runs until SIGINT or SIGTERM."""
    with Asterisk() as asterisk:
        print(f"ARI    {asterisk.ari_url}/ari  user {asterisk.ari_user}  password {asterisk.ari_password}")
        print(f"SIP    {asterisk.sip_address}  phones {' '.join(asterisk.phones)}  trunk to port {asterisk.trunk_port}")
        print(f"folder {asterisk.folder}", flush=True)
        signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
        try:
            signal.pause()
        except KeyboardInterrupt:
            print("stopping")


if __name__ == "__main__":
    main()
