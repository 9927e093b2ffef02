"""The settings, a file for each part of amiguard."""
