"""The papers' effects on real text with a real student: what is compared, and the page of it."""
