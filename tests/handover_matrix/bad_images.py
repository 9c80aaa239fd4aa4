"""Images of a twin that cannot take over: it ends at its start, does nothing, takes nothing, errs.

Made from the stock twin's archive with another entry point, so they weigh nothing. Only for the
cluster of `tools/cluster`, which takes archives. Neighbour: `test_candidates`.
"""

import json
import subprocess
import sys

from demo import CLUSTER, ROOT, environment, is_ours, run

ENTRY = {
    "test-crash": "raise SystemExit('this image is broken')",
    "test-hang": "import time; time.sleep(1e9)",
    # The stock twin but for one thing: it has a session, and asks no older twin for anything.
    "test-idle": (
        "import sys; from meter_twin.taking import Taker; Taker.next_ms = None;"
        " Taker.next_request = lambda *_: None;"
        " from meter_twin.__main__ import main; sys.exit(main())"
    ),
    # The stock twin with a fault in an application.
    "test-faulty": (
        "import sys; from meter_twin.applications.metering_data import MeteringData;"
        " MeteringData.import_state = None;"
        " from meter_twin.__main__ import main; sys.exit(main())"
    ),
}
"""By tag what runs instead of the twin: one line without double quotes, see `write_archive`."""
WRITE = """
import json, pathlib, sys, tempfile
from archive import write_archive
base, archive, image, code = sys.argv[1:]
with tempfile.TemporaryDirectory() as folder:
    command = ["python3", "-S", "-c", code]
    write_archive(pathlib.Path(folder), pathlib.Path(archive), image, command, (), pathlib.Path(base))
"""


def is_possible():
    """Whether archives can be brought to this cluster."""
    return is_ours() and (ROOT / "build/images/twin.tar").exists()


def load(tag):
    """Bring an image to the cluster, as another version of the twin."""
    record = json.loads((ROOT / "build/images/twin.json").read_text())
    base, archive = ROOT / "build/images/twin.tar", ROOT / f"build/images/{tag}.tar"
    image = f"localhost/metertwin/twin:{tag}"
    found = dict(environment(), PYTHONPATH=str(ROOT / "tools/images"))
    command = [sys.executable, "-c", WRITE, str(base), str(archive), image, ENTRY[tag]]
    done = subprocess.run(command, env=found, capture_output=True, text=True, check=False)
    assert done.returncode == 0, (record["tag"], done.stderr)
    run(CLUSTER, "load", str(archive))
    archive.unlink()
