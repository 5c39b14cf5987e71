"""Settings of the environment; those for numpy must be made before it is loaded."""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
