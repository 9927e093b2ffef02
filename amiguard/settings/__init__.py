"""What the operator decides. The only import of pydantic and pydantic-settings."""

from amiguard.settings.loading import control_socket, load, load_policy
from amiguard.settings.model import Settings

__all__ = ["Settings", "control_socket", "load", "load_policy"]
