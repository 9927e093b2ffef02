"""Every shape of a NOTICE, WARNING or ERROR line that tells of an attempt.

A row's pattern is anchored at both ends of the message. Its address is the one field that Asterisk wrote itself, and
`trust` says why no text of an attacker can take that place:

- `START`: the address comes before every text of an attacker;
- `END`: it comes behind all of them;
- `BETWEEN`: text stands on both sides. The first place that looks like Asterisk's own is taken, if what is before it
  can't be a text that only looks like an end (`whole`). Otherwise, if another place names another address, the line
  names nobody: it is reported (`Channel.ALARM`).

Sources are file:function of Asterisk 22 where it still has the file, else 16 (`chan_sip.c` was removed in 21)."""

from __future__ import annotations

import re
from enum import Enum
from typing import NamedTuple

from amiguard.asterisk.log.fields import ENDPOINT, lacking


class Trust(Enum):
    """Why the address of a line is Asterisk's word."""

    START = "it stands before every text that an attacker wrote"
    END = "it stands behind every text that an attacker wrote, at the line's end"
    BETWEEN = "it follows a text that an attacker can't have ended, or no other place of the line names another address"
    NONE = "the line has no address of Asterisk's own"


class Outcome(NamedTuple):
    """The event that AMI would have told. An empty `event`: the line tells nothing that counts."""

    shape: str
    event: str = ""
    acl: str = ""


class Row(NamedTuple):
    """One shape. `form` is Asterisk's format string; where versions of it differ, `%s` stands for the difference.

    `pattern` captures some of `GROUPS`: `at` is the address (with `port` apart where no bracket keeps them apart),
    `before` the text before it, `reason` chooses the outcome. `mark` finds every place that looks like Asterisk's own
    address, `whole` matches a text before it that can't have been ended by an attacker."""

    file: bytes
    levels: bytes
    form: str
    pattern: re.Pattern[bytes]
    outcomes: dict[bytes, Outcome]
    service: str
    trust: Trust
    source: str
    transport: str = ""
    mark: re.Pattern[bytes] | None = None
    whole: re.Pattern[bytes] | None = None
    header: bool = False
    """Whether the account is the user in a From or To header: the text before the address."""
    groups: tuple[int, ...] = ()
    """Where `pattern` captures `GROUPS`; `ROWS` has it filled in."""


GROUPS = ("reason", "before", "at", "port", "account", "session", "transport")
"""What a pattern may capture; every pattern has all of them, so that one call fetches them."""


def _compile(pattern: bytes) -> re.Pattern[bytes]:
    return re.compile(pattern + rb"(?:\Z|" + lacking(GROUPS, pattern) + rb")", re.DOTALL)


AT = rb"(?P<at>" + ENDPOINT + rb")"
HOST_PORT = rb"(?P<at>[0-9A-Fa-f:.]{2,45}(?:%[0-9A-Za-z_.-]{1,32})?):(?P<port>\d{1,5})"
NAME = rb"(?P<account>.*?)'?"
"""A name up to the line's end; its closing quote is missing where a line feed in the name tore the line."""

ONLY = b""
"""The key of the outcome of a row without reasons."""

# -- PJSIP --
# pjsip_uri_print writes the From header as `"display" <uri>`. A display name or a quoted parameter is the only place
# for a space or a quote. A URI that does not fit 256 bytes is cut before its `>`.

QUOTED = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
FROM = re.compile(rb"(?:" + QUOTED + rb" )?<(?:[^<>\s\"]++|" + QUOTED + rb")*+>?", re.DOTALL)
FAILED_FOR = re.compile(rb"' failed for '(?P<at>" + ENDPOINT + rb")' \(callid: ")
REQUEST = (
    rb"Request (?:'[^ ]{1,255}' )?from '(?P<before>[^']*+(?:'(?! failed for '" + ENDPOINT + rb"' \(callid: )[^']*+)*+)"
    rb"' failed for '" + AT + rb"' \(callid: (?P<session>.*)"
)
"""`before` ends at the first place that looks like Asterisk's own address."""

REASONS = (
    b"No matching endpoint found",
    b"Failed to authenticate",
    b"Error to authenticate",
    b"Not match Endpoint ACL",
    b"Not match Endpoint Contact ACL",
)
PJSIP_REASONS = {
    REASONS[0]: Outcome("pjsip-no-matching-endpoint", "InvalidAccountID"),
    REASONS[1]: Outcome("pjsip-failed-to-authenticate", "ChallengeResponseFailed"),
    REASONS[2]: Outcome("pjsip-error-to-authenticate", "ChallengeResponseFailed"),
    REASONS[3]: Outcome("pjsip-acl", "FailedACL", "not_match_endpoint_acl"),
    REASONS[4]: Outcome("pjsip-contact-acl", "FailedACL", "not_match_endpoint_contact_acl"),
}
DISTRIBUTOR = "res/res_pjsip/pjsip_distributor.c:log_failed_request"
CALL = (
    rb"\((?:(?P<transport>UDP|TCP|TLS|WSS|WS)6?:)?" + AT + rb"\) to extension '.*"
    rb"' rejected because extension not found in context '[^']{0,80}'\."
)
GUEST = rb"anonymous(?:@[^\s':]{1,255})?"

# -- chan_sip --

SIP_REASONS = {
    b"Wrong password": Outcome("sip-wrong-password", "InvalidPassword"),
    b"Username/auth name mismatch": Outcome("sip-auth-name-mismatch", "ChallengeResponseFailed"),
    b"No matching peer found": Outcome("sip-no-matching-peer", "InvalidAccountID"),
    b"Not a local domain": Outcome("sip-not-a-local-domain", "FailedACL", "domain_must_match"),
    b"Peer is not supposed to register": Outcome("sip-peer-not-dynamic", "FailedACL", "peer_not_dynamic"),
    b"Device does not match ACL": Outcome("sip-device-acl", "FailedACL", "device_must_match_acl"),
    b"ACL error (permit/deny)": Outcome("sip-acl-error", "FailedACL", "device_must_match_acl"),
    b"Device not configured to use this transport type": Outcome("sip-transport", "InvalidTransport"),
    b"RTP initialization failed": Outcome("sip-rtp-failed"),
    b"Unknown failure": Outcome("sip-unknown-failure"),
}
SIP_CALL = re.compile(rb"' \((?P<at>" + ENDPOINT + rb")\) to extension '")


def _only(shape: str, event: str = "", acl: str = "") -> dict[bytes, Outcome]:
    return {ONLY: Outcome(shape, event, acl)}


def _one_of(reasons: dict[bytes, Outcome]) -> bytes:
    return rb"(?P<reason>" + b"|".join(map(re.escape, reasons)) + rb")"


TABLE = (
    Row(b"pjsip_distributor.c", b"NOTICE", "Request%s from '%s' failed for '%s' (callid: %s) - %s",
        _compile(REQUEST + rb"\) - " + _one_of(PJSIP_REASONS) + rb"(?: after \d{1,10} tries in [0-9.]{1,20} ms)?"),
        PJSIP_REASONS, "PJSIP", Trust.BETWEEN, DISTRIBUTOR, mark=FAILED_FOR, whole=FROM, header=True),
    Row(b"pjsip_distributor.c", b"NOTICE", "Request%s from '%s' failed for '%s' (callid: ",
        _compile(REQUEST), _only("pjsip-failed-request", "InvalidAccountID"), "PJSIP", Trust.BETWEEN,
        DISTRIBUTOR + " through main/term.c:term_strip: an ESC in the Call-ID takes all up to the next m with it",
        mark=FAILED_FOR, whole=FROM, header=True),
    Row(b"res_pjsip_session.c", b"NOTICE",
        "%s: Call (%s:%s) to extension '%s' rejected because extension not found in context '%s'.",
        _compile(rb"(?P<account>" + GUEST + rb"): Call " + CALL),
        _only("pjsip-guest-call", "FailedACL", "no_extension_match"), "PJSIP", Trust.START,
        "res/res_pjsip_session.c:new_invite; the endpoint's name comes from pjsip.conf"),
    Row(b"res_pjsip_session.c", b"NOTICE",
        "Call from '%s' (%s:%s) to extension '%s' rejected because extension not found in context '%s'.",
        _compile(rb"Call from '(?P<account>" + GUEST + rb")' " + CALL),
        _only("pjsip-guest-call", "FailedACL", "no_extension_match"), "PJSIP", Trust.START,
        "res/res_pjsip_session.c:new_invite of Asterisk 12 to 15"),
    Row(b"res_pjsip_session.c", b"NOTICE",
        "%s: Call (%s:%s) to extension '%s' rejected because extension not found in context '%s'.",
        _compile(rb"(?:(?P<account>[^\s':]{1,255}): Call|Call from '(?P<caller>[^\s':]{0,255})') " + CALL),
        _only("pjsip-misdialled"), "PJSIP", Trust.START,
        "res/res_pjsip_session.c:new_invite; a known endpoint dialled a wrong number, which is no attack"),
    Row(b"res_pjsip_registrar.c", b"WARNING", "AOR '%s' not found for endpoint '%s' (%s:%d)",
        _compile(rb"AOR '(?P<aor>.*)' not found for endpoint '(?P<account>[^'\s]{1,255})' \(" + HOST_PORT + rb"\)"),
        _only("pjsip-wrong-aor", "RequestNotSupported"), "PJSIP", Trust.END,
        "res/res_pjsip_registrar.c:find_registrar_aor; an IPv6 address stands without brackets before the port"),
    Row(b"res_pjsip_acl.c", b"WARNING", "Incoming SIP message from %s did not pass ACL test",
        _compile(rb"Incoming SIP message from " + AT + rb" did not pass ACL test"),
        _only("pjsip-global-acl", "FailedACL", "global_acl"), "PJSIP", Trust.START,
        "res/res_pjsip_acl.c:apply_acl; apply_contact_acl writes the Contact's address in the same words"),
    Row(b"acl.c", b"NOTICE", "SIP ACL: Rejecting '%s' due to a failure to pass ACL '%s'",
        _compile(rb"SIP ACL: Rejecting '" + AT + rb"' due to a failure to pass ACL '[^']{0,255}'"),
        _only("acl-rejecting"), "PJSIP", Trust.START,
        "main/acl.c:ast_apply_acl_internal; the packet's source, unlike `SIP Contact ACL: `"),

    Row(b"chan_sip.c", b"NOTICE", "Registration from '%s' failed for '%s' - %s",
        _compile(rb"Registration from '(?P<before>.*)' failed for '" + AT + rb"' - " + _one_of(SIP_REASONS)),
        SIP_REASONS, "SIP", Trust.END, "channels/chan_sip.c:handle_request_register", header=True),
    Row(b"chan_sip.c", b"NOTICE",
        "Call from '%s' (%s) to extension '%s' rejected because extension not found in context '%s'.",
        _compile(rb"Call from '(?>(?P<account>.*?)' \(" + AT + rb"\) to extension ').*"
                 rb"' rejected because extension not found in context '[^']{0,80}'\."),
        _only("sip-call-rejected", "FailedACL", "no_extension_match"), "SIP", Trust.BETWEEN,
        "channels/chan_sip.c:handle_request_invite", mark=SIP_CALL),
    Row(b"chan_sip.c", b"NOTICE", "Failed to authenticate %s",
        _compile(rb"Failed to authenticate (?:user|device) .*+"), _only("sip-failed-to-authenticate"), "SIP",
        Trust.NONE,
        "channels/chan_sip.c:handle_request_invite of Asterisk 1.2 to 1.8, send_check_user_failure_response since: "
        "the From header, whose domain the seed's ninth rule takes for the source"),
    Row(b"chan_sip.c", b"NOTICE", "Sending fake auth rejection for %s",
        _compile(rb"Sending fake auth rejection for (?:user|device) .*+"), _only("sip-fake-rejection"), "SIP",
        Trust.NONE,
        "channels/chan_sip.c of Asterisk 1.2 to 11: the From header"),
    Row(b"chan_sip.c", b"NOTICE", "hacking attempt detected '%s'",
        _compile(rb"hacking attempt detected '" + AT + rb"'"),
        _only("sip-hacking-attempt", "FailedACL", "hacking_attempt"), "SIP",
        Trust.START, "a patch of chan_sip.c that distributions carried; fail2ban's filter.d/asterisk.conf"),
    Row(b"Ext. s", b"WARNING NOTICE", '"Rejecting unknown SIP connection from %s"',
        _compile(rb'"Rejecting unknown SIP connection from ' + AT + rb'"'),
        _only("dialplan-unknown-sip", "FailedACL", "rejecting_unknown_sip"), "SIP", Trust.START,
        "FreePBX's context from-sip-external through apps/app_verbose.c:log_exec; ${CHANNEL(recvip)} is the source"),

    Row(b"chan_iax2.c", b"NOTICE", "No registration for peer '%s' (from %s)",
        _compile(rb"No registration for peer '(?P<account>.*)' \(from " + AT + rb"\)"),
        _only("iax2-no-registration", "InvalidAccountID"), "IAX2", Trust.END, "channels/chan_iax2.c:register_verify"),
    Row(b"chan_iax2.c", b"NOTICE", "Peer '%s' is not dynamic (from %s)",
        _compile(rb"Peer '(?P<account>.*)' is not dynamic \(from " + AT + rb"\)"),
        _only("iax2-not-dynamic", "FailedACL", "peer_not_dynamic"), "IAX2", Trust.END,
        "channels/chan_iax2.c:register_verify"),
    Row(b"chan_iax2.c", b"NOTICE", "Empty registration from %s",
        _compile(rb"Empty registration from " + AT), _only("iax2-empty-registration", "InvalidAccountID"), "IAX2",
        Trust.START, "channels/chan_iax2.c:register_verify"),
    Row(b"chan_iax2.c", b"NOTICE", "Host %s failed MD5 authentication for '%s' (%s != %s)",
        _compile(rb"Host " + AT + rb" failed MD5 authentication for '(?P<account>[^']{0,255})' \(.*+"),
        _only("iax2-md5-failed", "ChallengeResponseFailed"), "IAX2", Trust.START,
        "channels/chan_iax2.c:register_verify"),
    Row(b"chan_iax2.c", b"NOTICE", "Host %s did not provide proper plaintext password for '%s'",
        _compile(rb"Host " + AT + rb" did not provide proper plaintext password for '" + NAME),
        _only("iax2-wrong-password", "InvalidPassword"), "IAX2", Trust.START, "channels/chan_iax2.c:register_verify"),
    Row(b"chan_iax2.c", b"NOTICE", "Host %s denied access to register peer '%s'",
        _compile(rb"Host " + AT + rb" denied access to register peer '" + NAME),
        _only("iax2-acl", "FailedACL", "peer_acl"), "IAX2", Trust.START, "channels/chan_iax2.c:register_verify"),
    Row(b"chan_iax2.c", b"NOTICE WARNING", "Host %s failed to authenticate as %s",
        _compile(rb"Host " + AT + rb" failed to authenticate as '?" + NAME),
        _only("iax2-call-failed", "InvalidPassword"), "IAX2", Trust.START,
        "channels/chan_iax2.c:socket_process_helper"),
    Row(b"chan_iax2.c", b"NOTICE", "Rejected connect attempt from %s, who was trying to reach '%s@%s'",
        _compile(rb"Rejected connect attempt from " + AT + rb", who was trying to reach '.*+"),
        _only("iax2-call-refused", "InvalidAccountID"), "IAX2", Trust.START,
        "channels/chan_iax2.c:socket_process_helper"),
    Row(b"chan_iax2.c", b"NOTICE WARNING", "Rejected connect attempt from %s, request '%s@%s' does not exist",
        _compile(rb"Rejected connect attempt from " + AT + rb", request '.*' does not exist"),
        _only("iax2-misdialled"), "IAX2", Trust.START,
        "channels/chan_iax2.c:socket_process_helper; an accepted caller dialled a wrong number, which is no attack"),
    Row(b"chan_iax2.c", b"NOTICE", "Host %s failed RSA authentication with inkeys '%s'",
        _compile(rb"Host .* failed RSA authentication with inkeys '.*+"), _only("iax2-rsa-failed"), "IAX2", Trust.NONE,
        "channels/chan_iax2.c:register_verify: the word behind Host is the name that was sent, not an address"),

    Row(b"manager.c", b"NOTICE", "%s tried to authenticate with nonexistent user '%s'",
        _compile(AT + rb" tried to authenticate with nonexistent user '" + NAME),
        _only("manager-nonexistent-user", "InvalidAccountID"), "AMI", Trust.START,
        "main/manager.c:authenticate, auth_http_callback", "TCP"),
    Row(b"manager.c", b"NOTICE", "%s failed to pass IP ACL as '%s'",
        _compile(AT + rb" failed to pass IP ACL as '" + NAME), _only("manager-acl", "FailedACL"), "AMI", Trust.START,
        "main/manager.c:authenticate, auth_http_callback", "TCP"),
    Row(b"manager.c", b"NOTICE", "%s failed to authenticate as '%s'",
        _compile(AT + rb" failed to authenticate as '" + NAME), _only("manager-wrong-password", "InvalidPassword"),
        "AMI", Trust.START, "main/manager.c:authenticate", "TCP"),
    Row(b"manager.c", b"WARNING", "Discarding message from %s. Line too long: %.25s...",
        _compile(rb"Discarding message from " + AT + rb"\. Line too long: .*+"),
        _only("manager-line-too-long", "RequestBadFormat"), "AMI", Trust.START, "main/manager.c:get_input", "TCP"),

    Row(b"security_events.c", b"ERROR", "Failed to issue security event of type %s.",
        _compile(rb"Failed to issue security event of type [A-Za-z]{1,64}\."), _only("event-lost"), "", Trust.NONE,
        "main/security_events.c:ast_security_event_report: invalid UTF-8 in a Call-ID or a name, and AMI is silent"),
)  # fmt: skip

ROWS = {
    file: tuple(
        row._replace(groups=tuple(row.pattern.groupindex[name] for name in GROUPS)) for row in TABLE if row.file == file
    )
    for file in {row.file for row in TABLE}
}
"""The rows of each of Asterisk's source files."""
