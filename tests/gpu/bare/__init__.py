"""The first half of the GPU checks: nothing beyond torch, transformers and pure Python is needed.

Role: `make test-gpu` runs them in the environment, the kit (tests/gpu/kit) on a bare machine. On a
CPU they run where GPU_KIT_DEVICE says so, with smaller numbers, and their figures say which device.
Training runs in processes of its own (`alone`): DeepSpeed settles a process for good.
"""
