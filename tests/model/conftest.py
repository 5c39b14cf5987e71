"""Settings of the environment; those for numpy must be made before it is loaded."""

import os

# The reference multiplies a few rows by large matrices: memory-bound, and on a busy machine threads
# that wait for each other cost ten times what they bring.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
