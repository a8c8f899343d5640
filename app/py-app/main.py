"""The Flask service of the classic procedure: it reports the machine it runs on."""

import os
import platform
import signal
import sys

from flask import Flask

app = Flask(__name__)


@app.route("/")
def hello():
    return f"Hello ONAP. I am a Python service running on {platform.machine()}\n"


if __name__ == "__main__":
    # The kernel delivers SIGTERM to a container's first process only if it has a handler.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    app.run(host="0.0.0.0", port=int(os.environ.get("PORT", "5000")))
