"""The layout of the database, and the statements that read and change it.

A change of the layout is one more entry in `MIGRATIONS`; what a released version wrote is never edited."""

from __future__ import annotations

APPLICATION_ID = 0x616D6967
"""`amig`: tells our databases from those of others, such as Asterisk's own `astdb.sqlite3`."""

MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        """CREATE TABLE bans (
            target   TEXT PRIMARY KEY,
            since    INTEGER NOT NULL, -- milliseconds since 1970
            until    INTEGER,          -- NULL: permanent
            failures INTEGER NOT NULL,
            earlier  INTEGER NOT NULL,
            accounts TEXT NOT NULL,    -- JSON array
            details  TEXT NOT NULL     -- JSON object: reason, origin, evidence, service, transport, source, comment
        ) WITHOUT ROWID""",
        """CREATE TABLE offenders (
            target TEXT PRIMARY KEY,
            bans   INTEGER NOT NULL,   -- in all, the running one included
            first  INTEGER NOT NULL,
            last   INTEGER NOT NULL    -- when its newest ban began
        ) WITHOUT ROWID""",
        "CREATE INDEX offenders_by_last ON offenders (last)",
        """CREATE TABLE positions (
            path   TEXT PRIMARY KEY,
            device INTEGER NOT NULL,
            inode  INTEGER NOT NULL,
            offset INTEGER NOT NULL,
            head   TEXT NOT NULL
        ) WITHOUT ROWID""",
    ),
    (
        # 0: answers to what this server itself asked still arrive; before this column every ban was absolute
        "ALTER TABLE bans ADD COLUMN absolute INTEGER NOT NULL DEFAULT 1",
        "UPDATE bans SET absolute = 0 WHERE json_extract(details, '$.evidence') = 'datagram'",
    ),
    (
        """CREATE TABLE allowed ( -- what an administrator allowed at run time
            target  TEXT PRIMARY KEY,
            comment TEXT NOT NULL
        ) WITHOUT ROWID""",
    ),
    (
        """CREATE TABLE phones ( -- accounts that have logged in, and from where
            address TEXT NOT NULL,
            account TEXT NOT NULL,
            until   INTEGER NOT NULL,
            PRIMARY KEY (address, account)
        ) WITHOUT ROWID""",
    ),
    (
        # JSON array: when its newest bans began, the running one included
        "ALTER TABLE offenders ADD COLUMN times TEXT NOT NULL DEFAULT '[]'",
        "UPDATE offenders SET times = json_array(last)",
    ),
    (
        """CREATE TABLE names ( -- of IGNOREIP, and what they stand for
            name      TEXT PRIMARY KEY,
            addresses TEXT NOT NULL -- JSON array
        ) WITHOUT ROWID""",
    ),
    (
        # which node of the fleet told of it; empty: an administrator of this one
        "ALTER TABLE allowed ADD COLUMN node TEXT NOT NULL DEFAULT ''",
    ),
    (
        """CREATE TABLE minutes ( -- what happened within the last day
            place    INTEGER PRIMARY KEY, -- which minute of the day: there are never more rows than that
            at       INTEGER NOT NULL,
            failures INTEGER NOT NULL,
            bans     INTEGER NOT NULL
        )""",
    ),
)
"""One entry a version of the layout: `user_version` counts how many of them a database has had."""

SAVE_BAN = "INSERT OR REPLACE INTO bans VALUES (?, ?, ?, ?, ?, ?, ?, ?)"

COUNT_BAN = """INSERT INTO offenders VALUES (:target, 1, :since, :since, json_array(:since))
    ON CONFLICT (target) DO UPDATE SET bans = bans + 1, last = excluded.last, times = json_insert(
        iif(json_array_length(times) < :most, times, json_remove(times, '$[0]')), '$[#]', excluded.last
    ) WHERE excluded.last > last"""
"""A ban is known by its target and its beginning, so that one written twice is counted once. Of the times, `most` are
kept."""

END_BAN = "DELETE FROM bans WHERE target = ?"

SAVE_ALLOWED = "INSERT OR REPLACE INTO allowed VALUES (?, ?, ?)"

END_ALLOWED = "DELETE FROM allowed WHERE target = ?"

LOAD_ALLOWED = "SELECT target, comment, node FROM allowed"

SAVE_NAME = "INSERT OR REPLACE INTO names VALUES (?, ?)"

FORGET_NAMES = "DELETE FROM names WHERE addresses = '[]'"

LOAD_NAMES = "SELECT name, addresses FROM names"

SAVE_PHONE = "INSERT OR REPLACE INTO phones VALUES (?, ?, ?)"

END_PHONE = "DELETE FROM phones WHERE address = ? AND account = ?"

LOAD_PHONES = "SELECT address, account, until FROM phones ORDER BY until"

FORGET_PHONES = "DELETE FROM phones WHERE until <= ?"

SAVE_MINUTE = "INSERT OR REPLACE INTO minutes VALUES (?, ?, ?, ?)"

LOAD_MINUTES = "SELECT at, failures, bans FROM minutes WHERE at > ?"

SAVE_POSITION = "INSERT OR REPLACE INTO positions VALUES (?, ?, ?, ?, ?)"

LOAD_POSITIONS = "SELECT path, device, inode, offset, head FROM positions"

_BANS = "SELECT target, since, until, failures, earlier, accounts, details, absolute FROM bans"
LOAD_BANS = f"{_BANS} WHERE target > ? ORDER BY target LIMIT ?"
LOAD_ENDED = f"{_BANS} WHERE until <= ?"

LOAD_HISTORY = "SELECT json_group_array(target), json_group_array(bans) FROM offenders"

LOAD_TIMES = """SELECT target, times FROM offenders
    WHERE last >= ? AND (bans > 1 OR target NOT IN (SELECT target FROM bans))"""
"""Only of those whose running ban does not say it: a hundred thousand were banned for the first time."""

DELETE_ENDED = "DELETE FROM bans WHERE until <= ?"

FORGET_OLD = "DELETE FROM offenders WHERE last < ?"
FORGET_MANY = "DELETE FROM offenders WHERE last < (SELECT last FROM offenders ORDER BY last DESC LIMIT 1 OFFSET ?)"
