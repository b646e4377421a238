"""The GPU kit: the first half of the GPU checks, as folders for a machine without network.

`make gpu-kit` builds it (build.py); `python build/gpu-kit/1/run.py` runs it there. docs/gpu.md.
"""
