"""The papers' effects shown anew: what is compared (design.toml), and the page that says it."""
