"""Print how long `import neuro` takes: the median over new processes, less that of a bare Python."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

N_RUNS = 15
CASES = {
    "python alone": "pass",
    "import numpy": "import numpy",
    "import neuro": "import neuro",
    "neuro.graph (numpy)": "import neuro.graph",
    "neuro.run (backends found, none loaded)": "import neuro; neuro.run",
}


def seconds(code: str) -> float:
    """Return the wall time of one new Python process that runs the code, in s."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True)
    return time.perf_counter() - start


def main() -> None:
    """Measure every case in turn, round after round, so that a slow moment of the machine meets them all."""
    for code in CASES.values():
        seconds(code)  # fills the file cache and writes the bytecode
    rounds = [{name: seconds(code) for name, code in CASES.items()} for _ in range(N_RUNS)]
    medians = {name: statistics.median(r[name] for r in rounds) for name in CASES}
    bare = medians["python alone"]
    print(f"median of {N_RUNS} new processes, Python {sys.version.split()[0]}")
    for name, median in medians.items():
        print(f"  {name:42s}{median * 1e3:8.1f} ms   over python alone {(median - bare) * 1e3:8.1f} ms")


if __name__ == "__main__":
    main()
