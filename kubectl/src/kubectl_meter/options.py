"""What the commands share: namespace and context, examples in the help, errors that help."""

import functools
from collections.abc import Callable
from typing import Any

import click

from kubectl_meter.cluster import Cluster
from kubectl_meter.errors import MeterError, WrongUsage


class Program(click.Group):
    """A group of commands whose errors name field and remedy; wrong usage exits with 2."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; exit 1 on an error that the user can do something about, 2 on misuse."""
        try:
            return super().invoke(ctx)
        except MeterError as error:
            _say(error)
            ctx.exit(error.exit_code)
        except click.UsageError as error:
            _say(_explain_usage(error))
            ctx.exit(error.exit_code)
        except KeyboardInterrupt:
            ctx.exit(130)


def _say(error: MeterError) -> None:
    click.echo(f"{click.style('Error:', fg='red')} {error.message}", err=True)
    if error.field:
        click.echo(f"  field:  {error.field}", err=True)
    if error.remedy:
        click.echo(f"  remedy: {error.remedy}", err=True)


def _explain_usage(error: click.UsageError) -> MeterError:
    """Return what click says, with the option or argument and the help that lists what is right."""
    parameter = getattr(error, "param", None)
    names = [*parameter.opts] if isinstance(parameter, click.Option) else []
    field = max(names, key=len) if names else str(getattr(parameter, "human_readable_name", ""))
    command = error.ctx.command_path if error.ctx else "kubectl meter"
    return MeterError(error.format_message(), field=field, remedy=f"{command} --help")


def examples(*commands: str) -> str:
    """Return the epilog of a command's help."""
    return "\b\nExamples:\n" + "\n".join(f"  kubectl meter {command}" for command in commands)


def output_option(
    *formats: str, default: str = "table"
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return the option `--output` of a command that prints in these forms, a table by default."""
    return click.option(
        "-o", "--output", type=click.Choice(formats), default=default, show_default=True,
        help="How to print.",
    )  # fmt: skip


archive_option = click.option(
    "--archive-namespace", metavar="NS", help="Where the archive is; else that of the meters."
)
"""Of commands that ask the archive."""

EPILOG = examples(
    "status",
    "read house-1 --live",
    "readings house-1 --since 1h -o json",
    "upgrade --profile household --to 0.2.0 --watch",
    "provision house-1 --out bundle/",
)


def cluster_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add -n and --context; the command gets a `cluster`."""

    @click.option("-n", "--namespace", help="Namespace of the meters; else the context's own.")
    @click.option("--context", "context_name", help="Context of the kubeconfig.")
    @functools.wraps(command)
    def with_cluster(
        *arguments: Any, namespace: str | None, context_name: str | None, **options: Any
    ) -> Any:
        return command(Cluster(context_name, namespace), *arguments, **options)

    return with_cluster


def dry_run_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add --dry-run and -o; `find_form` reads them."""
    command = click.option(
        "-o", "--output", type=click.Choice(["yaml", "json"]),
        help="How --dry-run prints; yaml if you say nothing.",
    )(command)  # fmt: skip
    return click.option(
        "--dry-run", is_flag=True,
        help="Change nothing; print the part of the manifest that would change, for a repository.",
    )(command)  # fmt: skip


def find_form(output: str | None, *, dry_run: bool) -> str | None:
    """Return how a dry run prints; None if there is none.

    Raises:
        WrongUsage: a form without a dry run, as if nothing were to be changed.
    """
    if output is not None and not dry_run:
        raise WrongUsage(
            "nothing is printed where something is changed", field="-o, --output",
            remedy="add --dry-run to print and change nothing, or leave out -o",
        )  # fmt: skip
    return (output or "yaml") if dry_run else None
