"""Student training: HF Trainer, one rank a device: DeepSpeed on GPUs, plain DDP on CPU."""
