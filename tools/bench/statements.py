"""What one attempt costs in statements and commands, counted by the servers."""

from tools.bench import statement_log
from tools.bench.attempts import CHANNELS, PATIENCE_SECONDS
from tools.bench.figures import Row, at_most, row
from tools.bench.run import Run
from tools.bench.system import system

NAME = "statements"
CALLS = 20_000


def measure(run: Run) -> list[Row]:
    """Count everything that all processes send during one campaign over the simulated carrier.

    BEGIN and COMMIT, beat's own queries and the broker's traffic are included. Commands within Redis's scripts are
    counted apart, as they are no round trips.
    """
    calls = run.count(CALLS, least=500)
    run.say(f"{calls:,} calls, with every statement and command counted")
    with system(run, "statements") as whole:
        campaign = whole.campaign(whole.account("bench", channels=CHANNELS, trunk="simulated"), calls)
        with statement_log.listening(whole) as asked:
            whole.start(campaign)
            whole.wait_until_ended(campaign, PATIENCE_SECONDS)
    on = f"per attempt, simulated carrier, one campaign of {calls:,} calls"
    unit = "per attempt"
    statements, commands = len(asked.statements) / calls, asked.commands / calls
    return [
        row(f"database statements {on}", statements, unit, NAME, target=at_most(1.0)),
        row(f"Redis commands {on}, the broker's included", commands, unit, NAME, target=at_most(0.5)),
        row(f"Redis commands within scripts {on}", asked.in_scripts / calls, unit, NAME),
    ]
