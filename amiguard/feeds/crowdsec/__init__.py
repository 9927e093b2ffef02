"""CrowdSec's local API (LAPI): its decisions are dropped here, and this server's bans are told there.

Source: https://docs.crowdsec.net/docs/local_api/intro, and what versions 1.4 and 1.7 answer."""
