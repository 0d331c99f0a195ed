"""`make bench`: measures and prints one row for each figure."""

from rich.console import Console
from rich.table import Table

from bench import csv_list


def main() -> None:
    console = Console()
    table = Table(
        title="Trunkline, measured on this machine", caption="Ratios travel between machines; figures do not."
    )
    for heading in ("figure", "value", "beside", "ratio"):
        table.add_column(heading)
    with console.status("loading a CSV file of 500,000 rows"):
        for row in csv_list.measure():
            table.add_row(*row)
    console.print(table)


if __name__ == "__main__":
    main()
