"""Where it runs: runs, engines, hosting, placement, storage, training, publishing."""
