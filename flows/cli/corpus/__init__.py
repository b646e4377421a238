"""Care of a corpus: `litecot corpus`."""
