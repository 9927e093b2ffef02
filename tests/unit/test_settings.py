from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from amiguard.errors import SettingsError
from amiguard.fleet.places import parse
from amiguard.model import PortRange
from amiguard.ports import NoticeKind
from amiguard.settings import Settings, control_socket, load
from amiguard.settings.durations import InvalidDuration, format_duration, parse_bantime, parse_duration
from amiguard.settings.loading import _not_allowed
from amiguard.settings.places import Given

LOGIN = {"AMIGUARD_AMI_USERNAME": "amiguard", "AMIGUARD_AMI_SECRET": "canary-4711"}


def loaded(**variables: str) -> Settings:
    return load(environ=LOGIN | {f"AMIGUARD_{name}": text for name, text in variables.items()})


def problems(**variables: str) -> list[str]:
    with pytest.raises(SettingsError) as raised:
        loaded(**variables)
    return raised.value.problems


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [
        ("600", 600_000),
        ("432000", 432_000_000),
        ("90s", 90_000),
        ("10m", 600_000),
        ("1h", 3_600_000),
        ("5d", 432_000_000),
        ("1w", 604_800_000),
        ("1h 30m", 5_400_000),
        ("1h30m", 5_400_000),
        (" 1d 12h ", 129_600_000),
        ("5200w", 3_144_960_000_000),
    ],
)
def test_a_duration_is_seconds_or_a_sum_of_units(text: str, milliseconds: int) -> None:
    assert parse_duration(text) == milliseconds
    assert loaded(FINDTIME=text).findtime == milliseconds


@pytest.mark.parametrize(
    "text",
    [
        *("0", "0s", "-1", "-5", "+5", "--", "", " ", "m", "x", "10x", "10mo", "1.5h", "1h30", "1h, 30m", "5 10m"),
        *("10:00", "P5D", "PT10M", "1e3", "5_000", "\u0663", "\u00b2", "5201w", "99999999999999999999", "9" * 5000),
    ],
)
def test_a_duration_that_is_none_or_out_of_bounds_is_refused(text: str) -> None:
    with pytest.raises(InvalidDuration):
        parse_duration(text)
    if text:
        (line,) = problems(FINDTIME=text)
        assert line.startswith("AMIGUARD_FINDTIME: ")


def test_minus_one_is_a_permanent_ban_and_nothing_else() -> None:
    assert parse_bantime("-1") is None
    assert loaded(BANTIME="-1").bantime is None
    assert loaded(BANTIME="-1").unproven_bantime is None
    assert loaded(UNPROVEN_BANTIME="-1").bantime == 432_000_000
    assert format_duration(None) == "-1"
    assert problems(MAIL_DIGEST="-1")
    assert problems(BANTIME="-2")


def test_without_further_settings_the_documented_defaults_hold() -> None:
    settings = loaded()

    assert (settings.ami_host, settings.ami_port, settings.ami_tls, settings.ami_tls_verify) == (
        "127.0.0.1",
        5038,
        False,
        True,
    )
    assert (settings.maxretry, settings.findtime, settings.bantime) == (5, 600_000, 432_000_000)
    assert settings.unproven_bantime == settings.bantime
    assert settings.ignoreip == ("127.0.0.0/8", "::1")
    assert settings.firewall == "nftables"
    assert (settings.firewall_ports, settings.firewall_verdict, settings.firewall_counters) == ((), "drop", False)
    assert settings.mail_to == ()
    assert settings.mail_from.startswith("amiguard@")
    assert settings.mail_events == (NoticeKind.START, NoticeKind.STOP, NoticeKind.BAN, NoticeKind.ALERT)
    assert settings.mail_spool == Path("/var/lib/amiguard/mail")
    assert (settings.log_format, settings.log_level) == ("ecs", "info")


def test_ports_are_ranges_of_a_protocol_or_all_of_them() -> None:
    assert loaded(FIREWALL_PORTS="all").firewall_ports == ()
    assert loaded(FIREWALL_PORTS="udp:5060, tcp:5060-5061 udp:5060").firewall_ports == (
        PortRange("udp", 5060, 5060),
        PortRange("tcp", 5060, 5061),
    )


@pytest.mark.parametrize(
    "text",
    ["5060", "udp", "udp:", "udp:0", "udp:65536", "tcp:5061-5060", "sctp:5060", "udp:5060-", "all udp:1", "udp:\u0665"],
)
def test_ports_that_are_none_are_refused(text: str) -> None:
    assert problems(FIREWALL_PORTS=text)


def test_what_depends_on_another_setting_follows_it() -> None:
    settings = loaded(BANTIME="1h", DATABASE="/srv/guard/bans.db")

    assert settings.unproven_bantime == 3_600_000
    assert settings.mail_spool == Path("/srv/guard/mail")


def test_settings_are_frozen() -> None:
    with pytest.raises(ValueError, match="frozen"):
        loaded().maxretry = 3


def test_settings_made_directly_read_neither_environment_nor_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AMIGUARD_MAXRETRY", "7")

    assert Settings.model_validate({"ami_username": "u", "ami_secret": "s"}).maxretry == 5


def test_the_environment_of_the_process_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("AMIGUARD_")]:
        monkeypatch.delenv(name)
    for name, text in LOGIN.items():
        monkeypatch.setenv(name, text)
    monkeypatch.setenv("AMIGUARD_MAXRETRY", "7")

    assert load().maxretry == 7


def test_an_empty_value_counts_as_not_given() -> None:
    assert loaded(MAXRETRY="", AMI_TLS_CA="", IGNOREIP="") == loaded()


def test_the_environment_wins_over_the_dotenv_file_and_that_over_the_secrets_directory(tmp_path: Path) -> None:
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    for name, text in {"maxretry": "1", "ami_secret": "from-secrets\n", "ami_port": "1", "unrelated": "x"}.items():
        (secrets / (name if name == "unrelated" else f"amiguard_{name}")).write_text(text)
    dotenv = tmp_path / "amiguard.env"
    dotenv.write_text("# comment\nexport AMIGUARD_MAXRETRY=2\nAMIGUARD_AMI_PORT=2\nOTHER=1\nAMIGUARD_AMI_USERNAME=u\n")

    settings = load(dotenv, {"AMIGUARD_MAXRETRY": "3", "AMIGUARD_SECRETS_DIR": str(secrets)})

    assert settings.maxretry == 3
    assert settings.ami_port == 2
    assert settings.ami_username == "u"
    assert settings.ami_secret.get_secret_value() == "from-secrets"


def test_the_dotenv_file_is_named_by_a_variable_too_but_an_argument_wins(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_text("AMIGUARD_MAXRETRY=1\n")
    two.write_text("AMIGUARD_MAXRETRY=2\n")

    assert loaded(ENV_FILE=str(one)).maxretry == 1
    assert load(two, LOGIN | {"AMIGUARD_ENV_FILE": str(one)}).maxretry == 2


def test_a_dollar_in_a_dotenv_file_is_kept_and_blanks_of_a_secret_too(tmp_path: Path) -> None:
    dotenv = tmp_path / "env"
    dotenv.write_text("AMIGUARD_AMI_USERNAME=u\nHOME=/x\nAMIGUARD_SMTP_USERNAME='${HOME} $x # y'\n")
    (tmp_path / "amiguard_ami_secret").write_text(" a$b \r\n")
    (tmp_path / "amiguard_smtp_password").write_text("p")

    settings = load(dotenv, {"AMIGUARD_SECRETS_DIR": str(tmp_path)})

    assert settings.smtp_username == "${HOME} $x # y"
    assert settings.ami_secret.get_secret_value() == " a$b "


@pytest.mark.parametrize(
    ("misspelt", "nearest"),
    [
        ("AMIGUARD_BANTIM", "AMIGUARD_BANTIME"),
        ("AMIGUARD_IGNORE_IP", "AMIGUARD_IGNOREIP"),
        ("AMIGUARD_AMI_SECRT", "AMIGUARD_AMI_SECRET"),
        ("AMIGUARD_AMI__HOST", "AMIGUARD_AMI_HOST"),
        ("amiguard_whois", "AMIGUARD_WHOIS"),
        ("AMIGUARD_SECRETS_DIRECTORY", "AMIGUARD_SECRETS_DIR"),
        ("AMIGUARD_ENVFILE", "AMIGUARD_ENV_FILE"),
    ],
)
def test_an_unknown_variable_is_an_error_that_names_the_nearest(misspelt: str, nearest: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as in_environment:
        load(environ=LOGIN | {misspelt: "canary-0815"})
    dotenv = tmp_path / "env"
    dotenv.write_text(f"{misspelt}=canary-0815\n")
    with pytest.raises(SettingsError) as in_dotenv:
        load(dotenv, LOGIN)
    (tmp_path / misspelt.lower()).write_text("canary-0815")
    if misspelt.upper() != nearest:
        with pytest.raises(SettingsError) as in_secrets:
            load(environ=LOGIN | {"AMIGUARD_SECRETS_DIR": str(tmp_path)})
        assert in_secrets.value.problems == [
            f"{misspelt.lower()} (in {tmp_path}): does not exist; the nearest is {nearest}"
        ]

    assert in_environment.value.problems == [f"{misspelt}: does not exist; the nearest is {nearest}"]
    assert in_dotenv.value.problems == [f"{misspelt} (in {dotenv}): does not exist; the nearest is {nearest}"]


def test_what_kubernetes_adds_for_a_service_of_our_name_is_no_mistake() -> None:
    links = {
        "SERVICE_HOST": "10.0.0.1",
        "SERVICE_PORT": "80",
        "SERVICE_PORT_HTTP": "80",
        "PORT": "tcp://10.0.0.1:80",
        "PORT_80_TCP": "tcp://10.0.0.1:80",
        "PORT_80_TCP_PROTO": "tcp",
    }

    assert loaded(**links) == loaded()


def test_the_places_themselves_are_named_in_the_environment_only(tmp_path: Path) -> None:
    dotenv = tmp_path / "env"
    dotenv.write_text("AMIGUARD_SECRETS_DIR=/x\n")

    with pytest.raises(SettingsError, match=r"AMIGUARD_SECRETS_DIR \(in .*\): must be set in the environment"):
        load(dotenv, LOGIN)


def test_every_wrong_setting_has_one_line_and_all_are_told_at_once() -> None:
    lines = problems(MAXRETRY="abc", BANTIM="7", FIREWALL="iptables", AMI_PORT="0", AMI_TLS="maybe", LOG_LEVEL="loud")

    assert [line.partition(":")[0] for line in lines] == [
        "AMIGUARD_BANTIM",
        "AMIGUARD_AMI_PORT",
        "AMIGUARD_AMI_TLS",
        "AMIGUARD_MAXRETRY",
        "AMIGUARD_FIREWALL",
        "AMIGUARD_LOG_LEVEL",
    ]
    assert "AMIGUARD_MAXRETRY: 'abc' is not allowed; give a whole number from 1 to 1000" in lines
    assert "AMIGUARD_FIREWALL: 'iptables' is not allowed; give nftables, ipset or dry-run" in lines


def test_a_list_may_not_count_for_longer_than_ipset_has_time_outs() -> None:
    assert loaded(FIREWALL="nftables", FEED_STALE="17d").feed_stale == 17 * 86_400_000
    assert loaded(FIREWALL="ipset", FEED_STALE="16d", FEEDS="office=file:///etc/list").feed_stale == 16 * 86_400_000
    (line,) = problems(FIREWALL="ipset", FEED_STALE="17d")
    assert line == "AMIGUARD_FEED_STALE: is more than 16d, for which ipset has no time-outs (AMIGUARD_FIREWALL=ipset)"


def test_a_wrong_setting_that_others_default_to_has_one_line() -> None:
    assert len(problems(BANTIME="soon")) == 1
    assert len(problems(DATABASE="/a\nb")) == 1


def test_without_a_manager_user_there_is_no_source_of_events() -> None:
    for environ in ({}, {"AMIGUARD_AMI_SECRET": "canary-4711"}):
        with pytest.raises(SettingsError) as raised:
            load(environ=environ)
        (line,) = raised.value.problems
        assert re.match("AMIGUARD_AMI_USERNAME: is not set, nor is AMIGUARD_ASTERISK_LOG, so there is no source", line)


def test_a_log_alone_is_a_source_of_events() -> None:
    settings = load(environ={"AMIGUARD_ASTERISK_LOG": "/var/log/asterisk/full,/var/log/asterisk/amiguard.json"})

    assert settings.asterisk_log == (Path("/var/log/asterisk/full"), Path("/var/log/asterisk/amiguard.json"))
    assert settings.ami_username == ""


@pytest.mark.parametrize("name", ["Mars/Olympus", "Europe", "../etc/passwd", "/etc/localtime", "x\ny"])
def test_a_time_zone_that_does_not_exist_is_refused(name: str) -> None:
    assert len(problems(ASTERISK_TIMEZONE=name)) == 1


def test_a_time_zone_has_a_name_or_is_the_local_one() -> None:
    assert loaded(ASTERISK_TIMEZONE="Europe/Berlin").asterisk_timezone == "Europe/Berlin"
    assert loaded().asterisk_timezone == "local"


def test_a_manager_user_needs_a_secret() -> None:
    with pytest.raises(SettingsError, match="AMIGUARD_AMI_SECRET: is not set"):
        load(environ={"AMIGUARD_AMI_USERNAME": "u"})


@pytest.mark.parametrize("name", ["AMI_SECRET", "AMI_USERNAME", "AMI_HOST", "SMTP_USERNAME", "MAIL_TO", "MAIL_FROM"])
@pytest.mark.parametrize("end", ["\r\nAction: Command", "\n", "\r", "\x00", "\x85", "\u2028"])
def test_no_line_break_or_control_character_gets_through(name: str, end: str) -> None:
    lines = problems(**{name: f"ops@example.org{end}"})

    assert [line for line in lines if line.startswith(f"AMIGUARD_{name}: ")]
    assert all(line.isprintable() for line in lines)


def test_ignoreip_takes_addresses_and_networks_in_canonical_form() -> None:
    settings = loaded(IGNOREIP="10.1.2.3/8,192.0.2.1 ::ffff:192.0.2.9\n2001:DB8::1/32, 192.0.2.1")

    assert settings.ignoreip == ("10.0.0.0/8", "192.0.2.1", "192.0.2.9", "2001:db8::/32")


def test_ignoreip_takes_names_and_nonsense_is_told_what_is_allowed() -> None:
    settings = loaded(IGNOREIP="127.0.0.1 Phones.Example.ORG. pbx fe80 fe80::1 a_b.example.org")
    assert settings.ignored_names == ("phones.example.org", "pbx", "fe80", "a_b.example.org")
    assert settings.ignored_targets == ("127.0.0.1", "fe80::1")

    for nonsense in ("192.0.2.0/33", "192.0.2", "192.0.2.256", "-a.example.org", "a..example.org", f"{64 * 'a'}.org"):
        (problem,) = problems(IGNOREIP=nonsense)
        assert problem == (
            f"AMIGUARD_IGNOREIP: {nonsense[:64]!r} is neither an address, a network nor a name; give addresses, "
            "networks or DNS names such as 192.0.2.1, 2001:db8::/32 or office.example.org"
        )


def test_mail_goes_to_several_plain_addresses() -> None:
    assert loaded(MAIL_TO="a@example.org, b@example.org a@example.org").mail_to == ("a@example.org", "b@example.org")


@pytest.mark.parametrize(
    "text", ["root", "Ops <ops@example.org>", "a@b@c", "@example.org", "a@", "ä@example.org", "a@b,;"]
)
def test_what_is_no_plain_mail_address_is_refused(text: str) -> None:
    assert len(problems(MAIL_TO=text)) == 1
    assert len(problems(MAIL_FROM=text)) == 1


def test_mail_events_are_words_of_the_documented_three() -> None:
    assert loaded(MAIL_EVENTS="ban,stop").mail_events == (NoticeKind.BAN, NoticeKind.STOP)
    assert len(problems(MAIL_EVENTS="ban unban")) == 1


def test_a_mail_password_never_crosses_a_network_in_clear_text() -> None:
    login = {"SMTP_USERNAME": "u", "SMTP_PASSWORD": "canary-4712"}

    (line,) = problems(**login, SMTP_HOST="mail.example.org")

    assert "set AMIGUARD_SMTP_TLS to starttls or tls" in line
    for host in ("localhost", "127.0.0.9", "::1"):
        assert loaded(**login, SMTP_HOST=host).smtp_username == "u"
    assert loaded(**login, SMTP_HOST="mail.example.org", SMTP_TLS="starttls").smtp_tls == "starttls"


def test_half_a_mail_login_is_an_error() -> None:
    assert problems(SMTP_USERNAME="u") == [
        "AMIGUARD_SMTP_PASSWORD: is not set, but AMIGUARD_SMTP_USERNAME is; set both or none"
    ]
    assert problems(SMTP_PASSWORD="canary-4712") == [
        "AMIGUARD_SMTP_PASSWORD: is set without AMIGUARD_SMTP_USERNAME; set both or none"
    ]


def test_a_setting_of_tls_without_tls_is_an_error(tmp_path: Path) -> None:
    ca = tmp_path / "ca.pem"
    ca.write_text("")

    assert "set AMIGUARD_AMI_TLS=true" in problems(AMI_TLS_CA=str(ca))[0]
    assert "set AMIGUARD_AMI_TLS=true" in problems(AMI_TLS_SERVER_NAME="pbx")[0]
    assert "set AMIGUARD_SMTP_TLS to" in problems(SMTP_TLS_CA=str(ca))[0]
    assert loaded(AMI_TLS="true", AMI_TLS_CA=str(ca)).ami_tls_ca == ca
    assert loaded(SMTP_TLS="tls", SMTP_TLS_CA=str(ca)).smtp_tls_ca == ca
    assert "is no file that amiguard can read" in problems(AMI_TLS="yes", AMI_TLS_CA=str(tmp_path / "none.pem"))[0]


def test_a_control_socket_must_fit_into_a_unix_address() -> None:
    assert loaded(CONTROL_SOCKET="/" + "x" * 106).control_socket == Path("/" + "x" * 106)
    assert "longer than 107 bytes" in problems(CONTROL_SOCKET="/" + "x" * 107)[0]


def test_a_file_or_folder_that_was_asked_for_and_cannot_be_read_is_a_clear_error(tmp_path: Path) -> None:
    missing = tmp_path / "missing"
    with pytest.raises(SettingsError, match=f"can't read {missing}: No such file or directory"):
        load(missing, LOGIN)
    with pytest.raises(SettingsError, match=f"AMIGUARD_SECRETS_DIR: can't read the folder {missing}: No such file"):
        loaded(SECRETS_DIR=str(missing))
    with pytest.raises(SettingsError, match=f"can't read {tmp_path}: it is no regular file"):
        load(tmp_path, LOGIN)
    (tmp_path / "amiguard_ami_secret").write_bytes(b"canary-\xff")
    with pytest.raises(SettingsError, match="amiguard_ami_secret: it is not UTF-8"):
        loaded(SECRETS_DIR=str(tmp_path))


@pytest.mark.parametrize("line", ["AMIGUARD_AMI_SECRET='canary-4713", "AMIGUARD_WHOIS", "=x y"])
def test_a_broken_line_of_a_dotenv_file_is_an_error_with_its_number_but_not_its_text(line: str, tmp_path: Path) -> None:
    dotenv = tmp_path / "env"
    dotenv.write_text(f"OTHER=1\n{line}\n")

    with pytest.raises(SettingsError) as raised:
        load(dotenv, LOGIN)

    assert raised.value.problems == [f"{dotenv}: line 2 is not of the form NAME=value"]


def test_commands_that_only_talk_to_the_daemon_need_nothing_but_its_socket(tmp_path: Path) -> None:
    dotenv = tmp_path / "env"
    dotenv.write_text("AMIGUARD_CONTROL_SOCKET=/run/two.sock\n")

    assert control_socket(environ={}) == Path("/run/amiguard/amiguard.sock")
    assert control_socket(environ={"AMIGUARD_CONTROL_SOCKET": "/run/one.sock"}) == Path("/run/one.sock")
    assert control_socket(dotenv, {}) == Path("/run/two.sock")
    with pytest.raises(SettingsError, match="AMIGUARD_CONTROL_SOCKET: is longer than 107 bytes"):
        control_socket(environ={"AMIGUARD_CONTROL_SOCKET": "x" * 200})


def test_no_secret_stands_in_a_repr_or_an_error() -> None:
    settings = loaded(SMTP_USERNAME="u", SMTP_PASSWORD="canary-4712")
    lines = problems(AMI_SECRET="canary-4711\n", SMTP_PASSWORD="canary-4712", AMI_SECRT="canary-4713", MAXRETRY="x")

    assert "canary" not in repr(settings) + str(settings) + settings.model_dump_json()
    assert "canary" not in "".join(lines)


@pytest.mark.parametrize("name", ["AMI_SECRET", "AMI_USERNAME", "SMTP_USERNAME", "DATABASE"])
def test_what_is_not_utf_8_is_refused_without_being_shown(name: str) -> None:
    lines = problems(**{name: "canary-\udcff"})

    assert lines[0] == f"AMIGUARD_{name}: must be UTF-8 without line breaks and other control characters"
    assert "canary" not in "".join(lines)


def test_a_secret_that_pydantic_refuses_is_not_shown_either() -> None:
    assert _not_allowed("ami_secret", Given("canary-4711", "")) == "is not allowed; give a secret"
    assert _not_allowed("ami_port", Given("x", "")).startswith("'x' is not allowed")


@pytest.mark.parametrize(
    ("url", "format", "mistake"),
    [
        ("ftp://example.org/canary", "json", "is no URL"),
        ("https:///canary", "slack", "is no URL"),
        ("https://example.org:0/canary", "json", "is no URL"),
        ("https://[canary", "json", "is no URL"),
        ("https://ntfy.example.org", "ntfy", "ends without a topic"),
        ("https://ntfy.example.org/canary/", "ntfy", "ends without a topic"),
    ],
)
def test_a_webhook_url_must_be_one_and_is_never_shown(url: str, format: str, mistake: str) -> None:  # noqa: A002 -- the setting's word
    (line,) = problems(WEBHOOK_URL=url, WEBHOOK_FORMAT=format)

    assert line.startswith(f"AMIGUARD_WEBHOOK_URL: {mistake}")
    assert "canary" not in line


def test_a_webhook_is_told_everything_and_mail_no_unbans() -> None:
    settings = loaded(WEBHOOK_URL="https://hooks.example.org/x")

    assert settings.webhook_events == tuple(NoticeKind)
    assert set(settings.webhook_events) - set(settings.mail_events) == {NoticeKind.UNBAN}


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://redis.example.org", "is no URL of a Redis"),
        ("redis+nothing://host", "is no URL of a Redis"),
        ("redis://", "names no host"),
        ("unix://", "names no socket"),
        ("redis://host:port", "names no host, or a port that is none"),
        ("redis://host:70000", "names no host, or a port that is none"),
        ("redis://[2001:db8::1", "names no host"),
        ("redis://[2001:db8::1]7000", "names no host"),
        ("redis://one,two", "names several servers"),
        ("redis+sentinel://one,two", "names no master"),
        ("redis+cluster://one?db=3", "a cluster has one only"),
        ("rediss://host/name", "names a database that is no number"),
        ("rediss://host?ssl_cert_reqs=none", "has other options"),
    ],
)
def test_a_redis_is_named_by_a_url_that_can_be_used_and_does_not_switch_the_check_of_certificates_off(
    url: str, why: str
) -> None:
    with pytest.raises(SettingsError, match=why):
        load(environ={"AMIGUARD_ASTERISK_LOG": "/log", "AMIGUARD_REDIS_URL": url})


@pytest.mark.parametrize(
    ("url", "server"),
    [
        ("rediss://user:canary@redis.example.org", "redis.example.org:6379"),
        ("redis://:canary@192.0.2.1:7000/3", "192.0.2.1:7000"),
        ("unix:///run/redis.sock?password=canary", "/run/redis.sock"),
        ("rediss+sentinel://user:canary@one,[2001:db8::1]:7000/m", "one:26379,[2001:db8::1]:7000/m"),
        ("redis+cluster://:canary@one:7000,two", "one:7000,two:6379"),
        ("redis+cluster://:canary@[2001:db8::1],[2001:db8::2]:7000", "[2001:db8::1]:6379,[2001:db8::2]:7000"),
    ],
)
def test_the_server_of_a_url_is_shown_without_the_login(url: str, server: str) -> None:
    settings = load(environ={"AMIGUARD_ASTERISK_LOG": "/log", "AMIGUARD_REDIS_URL": url})
    place = parse(settings.redis_url.get_secret_value())
    assert place.name == server
    assert place.password == "canary"
    assert "canary" not in f"{settings!r}{place!r}"
