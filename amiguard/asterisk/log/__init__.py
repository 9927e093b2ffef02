"""Asterisk's log lines: bytes in, security events out. Pure: no clock, no file, no third party."""
