"""What each step is: plain typed Python; no prefect, ray, torch or vllm."""
