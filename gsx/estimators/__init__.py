"""Estimators: one algorithm a file, one implementation of `expect` each. They are found by name; nothing is registered here."""
