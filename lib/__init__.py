"""The service; what it owns of the process is set before numpy is first imported."""

import os

# Products of 64 x 384 are over in 0.1 ms. OpenBLAS would share each among threads that wait for
# one another by spinning, which on a function's one or two processors takes ten times as long.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
