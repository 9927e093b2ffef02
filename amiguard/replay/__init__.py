"""Looks back: who would have been banned by old logs or captures, and what becomes of one line."""
