"""Where bans and offenders outlive the process."""
