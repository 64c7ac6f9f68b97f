"""What a benchmark measured: rows of ratios to a baseline that was measured in the same run."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Row:
    """One figure. `ratio` is to the table's baseline; `aim` the largest ratio that is good, None if none is set."""

    what: str
    figure: str
    ratio: float
    aim: float | None = None

    @property
    def met(self) -> bool:
        """Whether it is as good as it should be."""
        return self.aim is None or self.ratio <= self.aim


@dataclass
class Table:
    """Figures beside their baseline."""

    title: str
    baseline: str
    how: str
    rows: list[Row] = field(default_factory=list)

    def add(self, what: str, figure: str, ratio: float, aim: float | None = None) -> None:
        """Add a row."""
        self.rows.append(Row(what, figure, ratio, aim))

    def markdown(self) -> str:
        """As it stands in docs/benchmarks.md."""
        lines = [f"## {self.title}", "", f"{self.how} Baseline: {self.baseline}.", ""]
        lines += ["| what | figure | ratio to baseline | aim |", "|---|---|---|---|"]
        for row in self.rows:
            aim = "" if row.aim is None else f"<= {row.aim:g}{'' if row.met else ' (missed)'}"
            lines.append(f"| {row.what} | {row.figure} | {row.ratio:.2f} | {aim} |")
        return "\n".join(lines) + "\n"
