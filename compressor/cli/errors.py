"""Errors as a line for people and an exit code for scripts."""

import contextlib
import os
import sys
from collections.abc import Iterator

import typer

from compressor.cli.options import UsageError
from compressor.errors import CompressorError, SettingsError
from compressor.humanize import printable

ARGUMENTS = ("src", "dst", "name")  # settings that are positional arguments


@contextlib.contextmanager
def one_line_errors(name: str = "") -> Iterator[None]:
    """Report an error as a line on standard error and an exit code. COMPRESSOR_DEBUG=1 shows the traceback.

    name  of the file that is worked on, which the line begins with
    """
    try:
        yield
    except KeyboardInterrupt:
        typer.echo("compressor: interrupted", err=True)
        raise typer.Exit(130) from None
    except BrokenPipeError:  # the reader of our standard output has closed it; what is left in the buffer is discarded
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(1) from None
    except (typer.Exit, typer.BadParameter):
        raise
    except Exception as error:  # any other error: people get a line, not a traceback
        if os.environ.get("COMPRESSOR_DEBUG"):
            import traceback

            traceback.print_exc()
        typer.echo(f"compressor: {in_one_line(error, name)}", err=True)
        raise typer.Exit(2 if isinstance(error, UsageError | SettingsError) else 1) from None


def in_one_line(error: Exception, name: str = "") -> str:
    """Return the line for an error. Ours are complete; others, bugs or from the system, get the name of their class.

    name  of the file that the error is about; not added to wrong usage, or where the error names a file
    """
    if isinstance(error, SettingsError):
        option = error.field.upper() if error.field in ARGUMENTS else f"--{error.field.replace('_', '-')}"
        return f"{option} {error.problem}"
    if isinstance(error, UsageError):
        name, text = "", str(error)
    elif isinstance(error, CompressorError):
        text = str(error)
    elif isinstance(error, OSError) and error.strerror:
        text = f"{printable(str(error.filename))}: {error.strerror}" if error.filename else error.strerror
        name = "" if error.filename == name else name
    else:
        text = f"{type(error).__name__}: {error} (COMPRESSOR_DEBUG=1 shows where)"
    line = " ".join(text.split())
    return f"{printable(name)}: {line}" if name else line
