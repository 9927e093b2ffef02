"""The other nodes of a fleet, over Redis or Valkey."""
