"""Measurements. Figures go to `results/` with commit, machine and date; nothing here is a test."""
