"""`argyll plan`: what would run, in a picture and in words."""

import sys

import click

from argyll.cli.initvalues import parse_init
from argyll.cli.options import Connection, engine_options, example, init_option, output_option
from argyll.cli.output import Format, emit, fitted, marks_for
from argyll.cli.step import unknown_step
from argyll.client import NotFound
from argyll.draw import explain_plan


@click.command(epilog=example("argyll plan complete-order --init customer_id=c-1 --init items=@items.json"))
@click.argument("goals", nargs=-1, required=True, metavar="GOAL...")
@init_option
@engine_options
@output_option
def plan(connection: Connection, goals: tuple[str, ...], init_pairs: tuple[str, ...], fmt: Format) -> None:
    """Show what would run to reach the GOALs, why each step is in, what init must supply, and what is left out.

    Nothing is started.
    """
    init = parse_init(init_pairs)
    with connection.client() as client:
        try:
            made = client.plan(list(goals), init)
        except NotFound as error:
            known = {step["id"] for step in client.steps()}
            unknown = [goal for goal in goals if goal not in known]
            if not unknown:
                raise
            raise unknown_step(client, unknown[0]) from error
    emit(made, fmt, lambda: fitted(explain_plan(made, given=init, marks=marks_for(sys.stdout)), sys.stdout))
