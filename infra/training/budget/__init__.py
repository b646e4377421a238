"""What a training run will take, before anything starts: memory by ZeRO stage, steps, hours."""
