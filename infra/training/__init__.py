"""Student training: SFTTrainer over DeepSpeed in ranks that Ray Train runs, one a device."""
