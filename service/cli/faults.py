"""What a program says at its edge, in one line, of a file or a setting that is wrong."""

from pydantic import ValidationError
from pydantic_settings import BaseSettings, SettingsError


def file_fault(error: OSError) -> str:
    """Which file, what the system said of it, and what to look at."""
    place = f"{error.filename}: " if error.filename else ""
    return f"{place}{error.strerror or error}; check the path, the rights and the free space"


def setting_fault(error: ValidationError | SettingsError, settings: type[BaseSettings]) -> str:
    """Each variable that is wrong, and why. An error of anything but these settings is ours, and raised again."""
    if isinstance(error, SettingsError):
        return f"{error}: not JSON; mend the variable (docs/operations.md lists them)"
    if error.title != settings.__name__:
        raise error
    prefix = settings.model_config["env_prefix"]
    wrong = (f"{prefix}{fault['loc'][0]}".upper() + f"={fault['input']!r}: {fault['msg']}" for fault in error.errors())
    return "; ".join(wrong) + "; mend the variable or the option (docs/operations.md lists them)"
