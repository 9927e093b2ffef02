"""Asterisk's own formats: bytes in, values out. Pure: no clock, socket or log."""
