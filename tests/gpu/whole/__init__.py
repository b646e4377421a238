"""The second half of the GPU checks: they need the whole environment, vLLM and Ray with it."""
