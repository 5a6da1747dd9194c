"""Models: programs for E[f] with one free function, `expect`. They are found by name; nothing is registered here."""
