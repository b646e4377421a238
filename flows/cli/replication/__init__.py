"""The papers' effects shown anew: `litecot replicate`, `replicate-real`."""
