"""Student training: HF Trainer over DeepSpeed in a subprocess, one rank a device."""
