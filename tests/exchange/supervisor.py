"""A supervisor of a server, to be killed. `python -m tests.exchange.supervisor FOLDER`"""

import sys
import time
from pathlib import Path

from kommutator.exchange.embedded import EmbeddedNats

if __name__ == "__main__":
    server = EmbeddedNats(Path(sys.argv[1]))
    server.start()
    sys.stdout.write(f"{server.pid}\n")
    sys.stdout.flush()
    time.sleep(600)
