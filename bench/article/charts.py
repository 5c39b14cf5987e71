"""The report's charts: few colours, labelled axes with units, the spread shown."""
import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

from article import numbers

COLOURS = ("#1f4e79", "#c8742b", "#4f8a4f", "#8a4f7d", "#6b6b6b")  # of servers, in their order
PALE = 0.22  # opacity of the spread
plt.rcParams.update({
    "figure.figsize": (7.6, 4.2), "figure.dpi": 110, "savefig.bbox": "tight", "font.size": 10,
    "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "axes.axisbelow": True,
    "grid.color": "#e4e4e4", "grid.linewidth": 0.8, "axes.edgecolor": "#8a8a8a",
    "legend.frameon": False, "svg.hashsalt": "reprise", "svg.fonttype": "path"})


def save(figures, folder):
    """Writes each figure as PNG and SVG, without dates, so that equal figures are equal files."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, figure in figures.items():
        figure.savefig(folder / f"{name}.png", metadata={"Software": None})
        figure.savefig(folder / f"{name}.svg", metadata={"Date": None})
        plt.close(figure)


def _colours(names):
    return {name: COLOURS[i % len(COLOURS)] for i, name in enumerate(names)}


def _lengths_axis(axes, lengths):
    axes.set_xscale("log")
    axes.set_xticks(lengths, [f"{x:,.0f}" for x in lengths], rotation=35)
    axes.minorticks_off()
    axes.set_xlabel("prompt length, tokens")


def _line(axes, xs, columns, colour, style, label):
    """The medians of `columns`, with the middle half of each as a band."""
    medians = [numbers.median(c) for c in columns]
    axes.plot(xs, medians, style, color=colour, label=label, markersize=4)
    low, high = zip(*(numbers.middle(c) for c in columns))
    axes.fill_between(xs, low, high, color=colour, alpha=PALE, lw=0)


def first_token(data):
    """data: server → [(tokens, runs)]"""
    figure, axes = plt.subplots()
    colours = _colours(data)
    for server, points in data.items():
        xs = [tokens for tokens, _ in points]
        for kind, style in (("cold", "o--"), ("warm", "o-")):
            columns = [[1e3 * run[kind] for run in runs] for _, runs in points]
            _line(axes, xs, columns, colours[server], style,
                  f"{server}, {'cold' if kind == 'cold' else 'cached'}")
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(lambda y, _: f"{y:,.0f}" if y >= 1 else f"{y:g}")
    _lengths_axis(axes, [tokens for tokens, _ in next(iter(data.values()))])
    axes.set_ylabel("time to first token, ms")
    axes.legend(ncols=2, loc="upper left", bbox_to_anchor=(0, 1.18))
    return figure


def cut(data, cuts):
    """data as above; cuts(runs) → the cut of each run."""
    figure, axes = plt.subplots(figsize=(7.6, 3.4))
    colours = _colours(data)
    for server, points in data.items():
        columns = [[100 * c for c in cuts(runs)] for _, runs in points]
        _line(axes, [tokens for tokens, _ in points], columns, colours[server], "o-", server)
    axes.axhline(85, color="#8a8a8a", lw=1, ls=":")
    axes.annotate("the article: up to 85 %", (1, 85), xycoords=("axes fraction", "data"),
                  ha="right", va="top", color="#6b6b6b", fontsize=9, xytext=(0, -3),
                  textcoords="offset points")
    _lengths_axis(axes, [tokens for tokens, _ in next(iter(data.values()))])
    axes.set_ylabel("cut in time to first token, %")
    axes.set_ylim(top=101)
    axes.legend(ncols=len(data), loc="upper left", bbox_to_anchor=(0, 1.18))
    return figure


def _bars(axes, groups, series, values, colours, label):
    """Bars side by side; values[series][group] in per cent, None where there is no figure."""
    width = 0.8 / len(series)
    for i, name in enumerate(series):
        for j, _ in enumerate(groups):
            x, value = j + (i - (len(series) - 1) / 2) * width, values[name][j]
            if value is None:
                axes.annotate(numbers.NONE, (x, 0), ha="center", va="bottom", color="#6b6b6b")
                continue
            axes.bar(x, value, width * 0.92, color=colours[name][0], alpha=colours[name][1],
                     label=name if name not in axes.get_legend_handles_labels()[1] else None)
            axes.annotate(label(value), (x, value), ha="center", va="bottom", fontsize=8,
                          color="#444444")
    axes.set_xticks(range(len(groups)), groups)
    axes.grid(axis="x", visible=False)


def hit_rates(data, kinds):
    """data: "server, mode" → rates, one a kind; 0 to 1 or None."""
    figure, axes = plt.subplots(figsize=(7.6, 3.8))
    servers = _colours(dict.fromkeys(name.rsplit(",", 1)[0] for name in data))
    colours = {name: (servers[name.rsplit(",", 1)[0]], 1.0 if "explicit" in name else 0.5)
               for name in data}
    values = {name: [None if r is None else 100 * r for r in rates] for name, rates in data.items()}
    _bars(axes, kinds, list(data), values, colours, lambda v: f"{v:.0f}")
    axes.set_ylabel("hit rate, % of requests")
    axes.set_ylim(0, 108)
    axes.legend(ncols=2, loc="upper left", bbox_to_anchor=(0, 1.2))
    return figure


def lifetimes(data):
    """data: name → [(pause ÷ lifetime, share of hits)]"""
    figure, axes = plt.subplots(figsize=(7.6, 1.2 + 0.45 * len(data)))
    for row, points in enumerate(data.values()):
        for x, share in points:
            face = COLOURS[0] if share == 1 else "white" if share == 0 else "#9db6cc"
            axes.plot(x, row, "o", markersize=8, markerfacecolor=face, markeredgecolor=COLOURS[0])
    axes.axvline(1, color="#8a8a8a", lw=1, ls=":")
    axes.annotate("end of the lifetime", (1, 1), xycoords=("data", "axes fraction"), ha="left",
                  va="bottom", xytext=(3, 0), textcoords="offset points", color="#6b6b6b",
                  fontsize=9)
    for face, label in ((COLOURS[0], "every trial hit"), ("white", "none")):
        axes.plot([], [], "o", markersize=8, markerfacecolor=face, markeredgecolor=COLOURS[0],
                  label=label)
    axes.set_yticks(range(len(data)), list(data))
    axes.set_ylim(len(data) - 0.5, -0.5)
    axes.set_xlim(left=0)
    axes.set_xlabel("pause ÷ lifetime")
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def costs(data):
    """data: workload → [automatic, automatic at half, explicit], as shares of the price without
    caching"""
    figure, axes = plt.subplots(figsize=(7.6, 3.6))
    series = ["automatic", "automatic, finding half", "explicit (5m)"]
    colours = dict(zip(series, ((COLOURS[0], 1.0), (COLOURS[0], 0.4), (COLOURS[2], 0.9))))
    values = {name: [None if shares[i] is None else 100 * shares[i] for shares in data.values()]
              for i, name in enumerate(series)}
    _bars(axes, list(data), series, values, colours, lambda v: f"{v:.0f}")
    axes.axhline(100, color="#8a8a8a", lw=1, ls=":")
    axes.set_ylabel("prompts' cost, % of no caching")
    axes.set_ylim(0, 112)
    axes.legend(ncols=3, loc="upper left", bbox_to_anchor=(0, 1.16))
    return figure


def workloads(data):
    """data: server → workload → (seconds to the first token without a cache, with)"""
    names = list(dict.fromkeys(name for found in data.values() for name in found))
    figure, axes = plt.subplots(figsize=(7.6, 1.4 + 0.42 * len(names) * len(data)))
    colours, ticks, row = _colours(data), [], 0
    for name in names:
        for server, found in data.items():
            if name not in found:
                continue
            for times, filled in zip(found[name], (False, True)):
                low, high = (1e3 * numbers.quantile(times, q) for q in (0.5, 0.95))
                axes.plot([low, high], [row, row], color=colours[server], lw=2, alpha=0.5)
                axes.plot(low, row, "o", color=colours[server], markersize=7,
                          markerfacecolor=colours[server] if filled else "white")
                axes.plot(high, row, "|", color=colours[server], markersize=9)
            ticks.append((row, f"{name}, {server}"))
            row += 1
        row += 0.5
    for face, label in (("white", "no cache"), (COLOURS[0], "cached")):
        axes.plot([], [], "o", color=COLOURS[0], markerfacecolor=face, label=f"{label}: p50 to p95")
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(lambda x, _: f"{x:,.0f}")
    axes.set_yticks([y for y, _ in ticks], [text for _, text in ticks])
    axes.invert_yaxis()
    axes.grid(axis="y", visible=False)
    axes.set_xlabel("time to first token, ms")
    axes.legend(ncols=2, loc="lower left", bbox_to_anchor=(0, 1))
    return figure
