"""What each action means, how loud it is, and where it stands in the Elastic Common Schema.

Values of `event.kind`, `event.category` and `event.type` are those that ECS 9 allows, and expects together:
https://www.elastic.co/docs/reference/ecs/ecs-category-field-values-reference"""

from __future__ import annotations

from amiguard.journal import Action
from amiguard.logs.entry import Entry, Level

ECS_VERSION = "9.4.0"

BLOCKING = ("intrusion_detection", "network")

CATALOGUE: dict[Action, Entry] = {
    Action.START: Entry(
        Level.INFO, ("process",), ("start",), "", "The daemon starts, with these settings; nothing is done yet."
    ),
    Action.READY: Entry(
        Level.INFO, ("process",), ("info",), "success", "The firewall is laid out, earlier bans are in force."
    ),
    Action.STOP: Entry(Level.INFO, ("process",), ("end",), "", "The daemon ends; bans stay in the kernel."),
    Action.SETTINGS_RELOADED: Entry(
        Level.INFO,
        ("configuration",),
        ("change",),
        "success",
        "Settings were read anew, and those that changed are in force; no value is shown.",
    ),
    Action.SETTINGS_REFUSED: Entry(
        Level.ERROR,
        ("configuration",),
        ("info",),
        "failure",
        "Settings were read anew and can't be used, not one of them: the earlier ones stay in force.",
    ),
    Action.AMI_CONNECTED: Entry(
        Level.INFO,
        ("network",),
        ("connection", "start"),
        "success",
        "Logged in to Asterisk, and proved that its security events arrive.",
    ),
    Action.AMI_LOST: Entry(
        Level.WARNING,
        ("network",),
        ("connection", "end"),
        "failure",
        "The connection to Asterisk ended or could not be made; it is tried again.",
    ),
    Action.AMI_UNREADABLE: Entry(
        Level.WARNING,
        ("network",),
        ("protocol",),
        "failure",
        "Asterisk sent something that could not be read; the connection stays.",
        limited=True,
    ),
    Action.LOG_OPENED: Entry(
        Level.INFO,
        ("file",),
        ("access",),
        "success",
        "A log file of Asterisk is read, and from where on: at the start, when it is back, and after a rotation.",
    ),
    Action.LOG_LOST: Entry(
        Level.WARNING,
        ("file",),
        ("access",),
        "failure",
        "A log file of Asterisk can't be read, and why; it is tried again four times a second.",
    ),
    Action.LOG_ALARM: Entry(
        Level.WARNING,
        ("intrusion_detection",),
        ("info",),
        "",
        "A log line tells of an attack but of nobody for certain, or its time can't be right.",
        limited=True,
        kind="alert",
    ),
    Action.FAILURE: Entry(
        Level.INFO, ("authentication",), ("start",), "failure", "An attempt failed and was counted.", limited=True
    ),
    Action.INJECTION: Entry(
        Level.WARNING,
        ("intrusion_detection",),
        ("info",),
        "",
        "Somebody forged Asterisk's events; the address is the true sender's.",
        limited=True,
        kind="alert",
    ),
    Action.BAN: Entry(
        Level.WARNING,
        BLOCKING,
        ("denied",),
        "success",
        "The kernel acknowledged a ban: packets are dropped.",
        kind="alert",
    ),
    Action.BAN_ESCALATED: Entry(
        Level.WARNING,
        BLOCKING,
        ("denied",),
        "success",
        "A running ban that spared answers to this server became absolute: its target went on over a connection, or "
        "by datagrams again and again.",
        kind="alert",
    ),
    Action.BANS_ADOPTED: Entry(
        Level.INFO,
        ("intrusion_detection",),
        ("info",),
        "success",
        "Bans were found that only the kernel knew of, for an earlier life was killed, or its database refused them. "
        "They are known from now on, with the reason and the origin `kernel`.",
    ),
    Action.UNBAN: Entry(
        Level.INFO,
        BLOCKING,
        ("allowed",),
        "success",
        "An administrator ended a ban, here or on another node, or its target is never banned from now on.",
    ),
    Action.EXPIRE: Entry(Level.INFO, BLOCKING, ("allowed",), "success", "A ban's time is over."),
    Action.ALLOWLIST_CHANGED: Entry(
        Level.INFO,
        ("configuration",),
        ("change",),
        "",
        "Others than before are never banned: an administrator said so, a name stands for other addresses, "
        "or this host has others.",
    ),
    Action.NAME_FAILED: Entry(
        Level.WARNING,
        ("network",),
        ("info",),
        "failure",
        "A name of `IGNOREIP`, or of a server in use, can't be resolved; its last addresses stay allowed.",
    ),
    Action.NAME_RECOVERED: Entry(Level.INFO, ("network",), ("info",), "success", "A name can be resolved again."),
    Action.SELF_UNKNOWN: Entry(
        Level.WARNING,
        ("host",),
        ("info",),
        "failure",
        "The kernel does not tell this host's addresses and gateways (`IGNORESELF`); those known stay allowed.",
    ),
    Action.PRESENCE_LIMITED: Entry(
        Level.WARNING,
        ("configuration",),
        ("info",),
        "failure",
        "The manager user may not list registrations (`write = system`): phones are known only once they log in.",
    ),
    Action.PHONE_FAILING: Entry(
        Level.WARNING,
        ("authentication",),
        ("info",),
        "failure",
        "A phone fails `MAXRETRY` times within a day at an address where phones are known: one of them on its own "
        "account, or a new one. The others are behind that address, so it is not banned yet (`PROTECTED_MAXRETRY`). "
        "Once a day for each account and address.",
        kind="alert",
    ),
    Action.BAN_SKIPPED: Entry(
        Level.WARNING,
        ("intrusion_detection",),
        ("allowed",),
        "",
        "A ban was due, but its target is never banned (`IGNOREIP`), or is a phone or a trunk that it must not hit.",
        limited=True,
    ),
    Action.ACCOUNT_UNDER_ATTACK: Entry(
        Level.WARNING,
        ("authentication", "intrusion_detection"),
        ("info",),
        "",
        "One account fails from many addresses; written once as the attack begins.",
        limited=True,
        kind="alert",
    ),
    Action.SUSPECTED_COMPROMISE: Entry(
        Level.WARNING,
        ("authentication", "intrusion_detection"),
        ("info",),
        "",
        "A login that looks as if its password was guessed; nobody is banned for it.",
        limited=True,
        kind="alert",
    ),
    Action.FIREWALL_HEALED: Entry(
        Level.WARNING,
        ("configuration",),
        ("change",),
        "success",
        "Somebody else changed amiguard's part of the kernel; it is as it was, with all bans. `process.*` tells who it "
        "was, where the kernel does.",
    ),
    Action.FIREWALL_FAILED: Entry(
        Level.ERROR,
        ("configuration",),
        ("change",),
        "failure",
        "The kernel refused a change; it is tried again, and nothing of it counts as done.",
    ),
    Action.GEOIP_FAILED: Entry(
        Level.WARNING,
        ("file",),
        ("info",),
        "failure",
        "`GEOIP_DATABASE` is gone or damaged: bans go without their countries. Told once, until the file is another.",
    ),
    Action.STORE_FAILED: Entry(
        Level.ERROR,
        ("database",),
        ("error",),
        "failure",
        "The database can't be used; bans go on, but a restart would forget them.",
    ),
    Action.STORE_RECOVERED: Entry(
        Level.INFO, ("database",), ("info",), "success", "The database can be used again; nothing was lost."
    ),
    Action.MAIL_SENT: Entry(Level.INFO, ("network",), ("info",), "success", "The mail server took a mail."),
    Action.MAIL_FAILED: Entry(Level.ERROR, ("network",), ("info",), "failure", "A mail could not be handed over."),
    Action.WEBHOOK_FAILED: Entry(
        Level.ERROR,
        ("network",),
        ("info",),
        "failure",
        "A notice could not be posted to the webhook; without an error, because too many waited or amiguard ended.",
        limited=True,
    ),
    Action.WEBHOOK_RECOVERED: Entry(Level.INFO, ("network",), ("info",), "success", "The webhook takes notices again."),
    Action.FLEET_CONNECTED: Entry(
        Level.INFO,
        ("network",),
        ("connection", "start"),
        "success",
        "Redis answers: bans are shared with the fleet, and what happened meanwhile is taken up.",
    ),
    Action.FLEET_LOST: Entry(
        Level.WARNING,
        ("network",),
        ("connection", "end"),
        "failure",
        "Redis can't be reached, or takes no changes; this node goes on alone, and what it decides is sent later.",
    ),
    Action.FLEET_REFUSED: Entry(
        Level.WARNING,
        ("network",),
        ("protocol",),
        "failure",
        "What came from the fleet is not taken: it can't be read, or it is too much.",
        limited=True,
    ),
    Action.FEED_UPDATED: Entry(
        Level.INFO,
        ("configuration",),
        ("change",),
        "success",
        "The kernel drops who a list of others names now, and nobody else for it; or the list is had again.",
    ),
    Action.FEED_FAILED: Entry(
        Level.WARNING,
        ("network",),
        ("info",),
        "failure",
        "A list of others can't be had, or is none; what it named goes on being dropped until it is stale.",
    ),
    Action.CROWDSEC_FAILED: Entry(
        Level.ERROR,
        ("network",),
        ("info",),
        "failure",
        "CrowdSec could not be told of bans; without an error, because too many waited or amiguard ended.",
        limited=True,
    ),
    Action.CROWDSEC_RECOVERED: Entry(Level.INFO, ("network",), ("info",), "success", "CrowdSec is told of bans again."),
    Action.CONTROL: Entry(
        Level.INFO, ("api",), ("access",), "success", "A command arrived over the control interface."
    ),
    Action.CONTROL_OPENED: Entry(
        Level.INFO,
        ("api",),
        ("start",),
        "success",
        "Where commands are taken, and whose; it says so where the socket's group could not be set.",
    ),
    Action.OVERLOAD: Entry(
        Level.WARNING, ("host",), ("info",), "failure", "More arrived than could be taken; it says what was left."
    ),
    Action.INTERNAL_ERROR: Entry(
        Level.ERROR, ("process",), ("info",), "failure", "A mistake in amiguard itself; please report it."
    ),
}
