"""`python -m bench.plots FILE`: pictures and tables of what `bench/run --scale … --keep FILE` measured.

Pictures go to `bench/plots/`, as SVG made here: three lines and some bars are no reason for a drawing library.
Tables are printed, to be pasted into `bench/RESULTS.md`.
"""

import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from xml.sax.saxutils import escape

from .scale import ASK_HOSTS, Size, read_sizes

FOLDER = Path(__file__).parent / "plots"
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7")
WIDTH, HEIGHT = 640, 320
LEFT, RIGHT, TOP, BOTTOM = 60, 30, 40, 60  # around a plot
BAR, BAR_LEFT = 14, 200

PAGES = {
    "first": "first",
    "middle": "in the middle",
    "of_all_first": "all projects: first",
    "of_all_middle": "all projects: in the middle",
}

Points = Sequence[tuple[float, float]]


def line_plot(
    title: str,
    x_name: str,
    y_name: str,
    series: Mapping[str, Points],
    *,
    log_x: bool = True,
    aim: float = 0.0,
) -> str:
    """Lines over a common x axis that begins at zero, or goes by powers of ten. `aim`: a dashed line across."""
    xs = sorted({x for points in series.values() for x, _ in points})
    highest = max([aim, *(y for points in series.values() for _, y in points)]) or 1.0
    step = _step(highest)
    top = step * math.ceil(highest / step)
    low, high = (math.log10(xs[0]), math.log10(xs[-1])) if log_x else (0.0, xs[-1])

    def place(x: float, y: float) -> tuple[float, float]:
        share = ((math.log10(x) if log_x else x) - low) / ((high - low) or 1.0)
        return LEFT + share * (WIDTH - LEFT - RIGHT), TOP + (1 - y / top) * (HEIGHT - TOP - BOTTOM)

    shapes = [_text(LEFT, 20, title, weight="bold")]
    for number in range(round(top / step) + 1):
        _, y = place(xs[0], number * step)
        shapes.append(_line((LEFT, y), (WIDTH - RIGHT, y), "#ddd"))
        shapes.append(_text(LEFT - 8, y + 4, f"{number * step:,g}", anchor="end"))
    marked = xs if log_x else [high * number / 4 for number in range(5)]
    for x in marked:
        shapes.append(_text(place(x, 0)[0], HEIGHT - BOTTOM + 18, f"{x:,.0f}", anchor="middle"))
    shapes.append(_text(WIDTH - RIGHT, HEIGHT - BOTTOM + 36, x_name, anchor="end"))
    shapes.append(_text(LEFT, TOP - 6, y_name))
    if aim:
        shapes.append(_line(place(xs[0], aim), place(xs[-1], aim), "#888", dashed=True))
        shapes.append(_text(WIDTH - RIGHT, place(xs[-1], aim)[1] - 5, "aim", anchor="end"))
    for points, colour in zip(series.values(), COLOURS, strict=False):
        spots = [place(x, y) for x, y in points]
        shapes += [_line(one, other, colour, width=2) for one, other in pairwise(spots)]
        shapes += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in spots]
    return _picture(HEIGHT, [*shapes, *_legend(series, HEIGHT - 10)])


def bar_plot(title: str, names: Sequence[str], series: Mapping[str, Sequence[float]]) -> str:
    """For each name a bar of each series, with its figure."""
    longest = max(value for values in series.values() for value in values) or 1.0
    group = BAR * len(series) + 8
    height = TOP + group * len(names) + 40
    shapes = [_text(20, 20, title, weight="bold")]
    for place, name in enumerate(names):
        y = TOP + place * group
        shapes.append(_text(BAR_LEFT - 8, y + group / 2, name, anchor="end"))
        for number, (values, colour) in enumerate(zip(series.values(), COLOURS, strict=False)):
            width = values[place] / longest * (WIDTH - BAR_LEFT - 80)
            y_bar = y + number * BAR
            shapes.append(
                f'<rect x="{BAR_LEFT}" y="{y_bar}" width="{max(1, width):.1f}" height="{BAR - 2}" fill="{colour}"/>'
            )
            shapes.append(_text(BAR_LEFT + width + 6, y_bar + 10, f"{values[place]:,.1f}"))
    return _picture(height, [*shapes, *_legend(series, height - 12)])


def _step(highest: float) -> float:
    """A round distance of grid lines: four to eight of them up to `highest`."""
    power = 10.0 ** math.floor(math.log10(highest / 4))
    return next(step * power for step in (1, 2, 5, 10) if highest / (step * power) <= 8)


def _legend(names: Iterable[str], y: float) -> list[str]:
    shapes, x = [], float(LEFT)
    for name, colour in zip(names, COLOURS, strict=False):
        shapes.append(f'<rect x="{x:.0f}" y="{y - 9}" width="10" height="10" fill="{colour}"/>')
        shapes.append(_text(x + 16, y, name))
        x += 36 + 6.5 * len(name)
    return shapes


def _text(x: float, y: float, text: str, *, anchor: str = "start", weight: str = "normal") -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-weight="{weight}" fill="#333">'
        f"{escape(text)}</text>"
    )


def _line(
    start: tuple[float, float], end: tuple[float, float], colour: str, *, width: int = 1, dashed: bool = False
) -> str:
    dash = ' stroke-dasharray="6 4"' if dashed else ""
    return (
        f'<line x1="{start[0]:.1f}" y1="{start[1]:.1f}" x2="{end[0]:.1f}" y2="{end[1]:.1f}" '
        f'stroke="{colour}" stroke-width="{width}"{dash}/>'
    )


def _picture(height: float, shapes: Iterable[str]) -> str:
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}" '
    head += f'width="{WIDTH}" height="{height:.0f}" font-family="sans-serif" font-size="12">'
    return "\n".join(
        [head, f'<rect width="{WIDTH}" height="{height:.0f}" fill="white"/>', *shapes, "</svg>", ""]
    )


def pictures(sizes: list[Size]) -> dict[str, str]:
    """File name → SVG."""
    by_hosts = {
        size.hosts: size for size in sorted(sizes, key=lambda size: -size.servers)
    }  # the smallest of each
    by_servers = {size.servers: size for size in sizes}
    largest = max(sizes, key=lambda size: (size.hosts, size.servers))
    like = sorted((size for size in sizes if size.hosts == largest.hosts), key=lambda size: size.servers)
    rounds = [name for name in largest.rounds if max(size.rounds[name] for size in like) >= 1.0]
    growth = list(enumerate(largest.fills_ms, start=1))
    return {
        "decision.svg": line_plot(
            "Choosing a host",
            "hosts",
            "CPU ms of a decision",
            {"scheduler": [(hosts, by_hosts[hosts].figures["decision_ms"]) for hosts in sorted(by_hosts)]},
            aim=5.0,
        ),
        "pages.svg": line_plot(
            "A page of 100 servers",
            "servers in the cloud",
            "CPU ms of a request",
            {
                PAGES[name]: [(count, by_servers[count].figures[f"page_{name}_ms"]) for count in sorted(by_servers)]
                for name in PAGES
            },
        ),
        "rounds.svg": bar_plot(
            f"A round when nothing changed, CPU ms, {largest.hosts:,} hosts, without the hosts' own part",
            rounds,
            {f"{size.servers:,} servers": [_round_ms(size, name) for name in rounds] for size in like},
        ),
        "memory.svg": line_plot(
            "Memory, with the fakes' own",
            "servers",
            "PSS, MiB",
            {f"{largest.hosts:,} hosts": [(0, largest.figures["pss_empty_mib"])]
             + [(size.servers, size.figures["pss_mib"]) for size in like]},
            log_x=False,
        ),
        "create.svg": line_plot(
            f"Making a server while the cloud fills, {largest.hosts:,} hosts",
            "thousands of servers that are there",
            "CPU ms until it runs",
            {"server create": growth},
            log_x=False,
        ),
    }  # fmt: skip


def _round_ms(size: Size, name: str) -> float:
    """What a round costs the control plane: hosts tell digests, each of its own guests."""
    return size.rounds[name] - (size.figures["digests_on_hosts_ms"] if name in ASK_HOSTS else 0.0)


def tables(sizes: list[Size]) -> list[str]:
    """Markdown: the figures of each size, then what each round costs."""
    names = {
        "decision_ms": "decision",
        "refusal_ms": "refusal, all hosts asked why",
        "create_ms": "server create",
        "page_first_ms": "page of 100: first",
        "page_middle_ms": "in the middle",
        "page_of_all_first_ms": "of all projects: first",
        "page_of_all_middle_ms": "in the middle",
        "idle_cores": "idle, cores",
        "pss_mib": "PSS, MiB",
        "pss_of_1000_servers_mib": "for 1,000 servers",
    }
    lines = ["| hosts | servers | " + " | ".join(names.values()) + " |", "|---:" * (len(names) + 2) + "|"]
    for size in sizes:
        cells = [_figure(name, size.figures[name]) if name in size.figures else "–" for name in names]
        lines.append(f"| {size.hosts:,} | {size.servers:,} | " + " | ".join(cells) + " |")
    lines += ["", "| a round, CPU ms: still / all anew | "]
    lines[-1] += " | ".join(f"{size.hosts:,} : {size.servers:,}" for size in sizes) + " |"
    lines.append("|---|" + "---:|" * len(sizes))
    for name in sizes[-1].rounds:
        cells = [
            f"{size.rounds[name]:.1f}" + (f" / {size.looks[name]:,.0f}" if name in size.looks else "")
            for size in sizes
        ]
        lines.append(f"| `{name}` | " + " | ".join(cells) + " |")
    digests = [f"{size.figures['digests_on_hosts_ms']:.1f}" for size in sizes]
    return [*lines, "| of cards, orphans and power each, on the hosts | " + " | ".join(digests) + " |"]


def _figure(name: str, value: float) -> str:
    return f"{value:.3f}" if name.endswith("cores") else f"{value:.0f}" if "pss" in name else f"{value:.1f}"


def main() -> None:
    sizes = read_sizes(Path(sys.argv[1]))
    FOLDER.mkdir(exist_ok=True)
    for name, svg in pictures(sizes).items():
        (FOLDER / name).write_text(svg)
    print("\n".join(tables(sizes)))


if __name__ == "__main__":
    main()
