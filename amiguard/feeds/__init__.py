"""What others know of attackers: lists, APIBAN's, and CrowdSec's decisions."""
