"""The errors that one part raises for another, and the root of all. The edges translate foreign exceptions into these,
by errno or type."""


class AmiguardError(Exception):
    """The root: `except AmiguardError` catches whatever amiguard itself reports."""


class SettingsError(AmiguardError):
    """A setting is wrong. `problems` holds one line a mistake, none of which shows a secret's value."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


class InvalidAddress(AmiguardError, ValueError):
    """A text is neither an IP address nor a network."""


class SourceError(AmiguardError):
    """A source of events (AMI, log file) can't be read now."""


class LoginRefused(SourceError):
    """Asterisk answered the login with something other than `Response: Success`."""


class ActionRefused(SourceError):
    """Asterisk does not carry out an action, or has nothing to tell. The text is Asterisk's own."""


class ActionDenied(ActionRefused):
    """The manager user lacks the permission for an action."""


class FirewallError(AmiguardError):
    """The kernel refused a change or did not answer. `errno` is the kernel's error number, 0 where there is none."""

    def __init__(self, message: str, errno: int = 0) -> None:
        super().__init__(message)
        self.errno = errno


class StoreError(AmiguardError):
    """The database can't be opened, read or written."""


class ResolverError(AmiguardError):
    """A name can't be resolved now."""


class SurroundingsError(AmiguardError):
    """The kernel does not tell of this host's addresses and routes."""


class FleetError(AmiguardError):
    """Redis can't be reached, or refuses: the node goes on alone."""


class FleetFull(FleetError):
    """Redis has no memory for changes; it can still be read."""


class InvalidMessage(AmiguardError):
    """What another node sent is no message of a fleet."""


class FeedError(AmiguardError):
    """A list can't be had now, or is none. `wait`: for so many seconds its server wants to be left alone."""

    def __init__(self, message: str, wait: float = 0) -> None:
        super().__init__(message)
        self.wait = wait


class NotifierError(AmiguardError):
    """A message could not be handed over. `permanent`: trying the same one again is useless. `wait`: for so many
    seconds its receiver wants to be left alone."""

    def __init__(self, message: str, *, permanent: bool = False, wait: float = 0) -> None:
        super().__init__(message)
        self.permanent = permanent
        self.wait = wait


class ControlError(AmiguardError):
    """The control socket can't be opened, or the daemon behind it does not answer."""


class MigrationError(AmiguardError):
    """What another program left behind can't be read."""


class BanRefused(AmiguardError):
    """A ban that an administrator asked for would hit who is allowed, a known phone or a trunk; the text says which."""
