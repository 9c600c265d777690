"""From intervals to tables. Medians with the range beside them; ratios round by round, because within a round the
machine was in one mood."""

import os
import pathlib
import platform
import statistics
import subprocess

DISTURBED_SHARE = 0.05
"""Other work on the machine, as a share of all its CPU time in an interval, above which the interval is marked."""


def machine():
    model = memory = ""
    for line in pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    for line in pathlib.Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
        if line.startswith("MemTotal"):
            memory = f"{int(line.split()[1]) / 1048576:.1f} GiB"
    return {
        "cpu": model,
        "cpus": os.cpu_count(),
        "memory": memory,
        "kernel": platform.release(),
        "load_average": os.getloadavg()[0],
        "commit": commit(),
    }


def commit():
    def git(*words):
        done = subprocess.run(["git", *words], cwd=pathlib.Path(__file__).parent, capture_output=True, text=True, check=False)
        return done.stdout.strip() if done.returncode == 0 else ""

    return (git("rev-parse", "--short", "HEAD") or "unknown") + (" and uncommitted changes" if git("status", "--porcelain") else "")


def median_range(values, form):
    values = [value for value in values if value is not None]
    if not values:
        return "-"
    middle = form.format(statistics.median(values))
    return middle if len(values) == 1 else f"{middle} ({form.format(min(values))}–{form.format(max(values))})"


def mebibytes(values):
    values = [value for value in values if value is not None]
    return f"{statistics.median(values) / 1048576:.1f}" if values else "-"


def ratios(intervals, base):
    """This contender's cost over the base's, of the same round."""
    by_round = {interval["round"]: interval["cpu_micros_per_unit"] for interval in base}
    pairs = ((interval["cpu_micros_per_unit"], by_round.get(interval["round"])) for interval in intervals)
    return [cost / of for cost, of in pairs if cost is not None and of]


def pick(intervals, group, name):
    return [interval[group][name] for interval in intervals if interval.get(group)]


def disturbed(interval, cpus):
    """Other work ran, or so much of it that streams which should run all through the window began in it."""
    foreign = interval.get("foreign_cpu_seconds")
    worked = foreign is not None and foreign > DISTURBED_SHARE * cpus * interval["window_seconds"]
    return worked or interval.get("late_streams", 0) > 0


def measure_table(measure, intervals, base_name, cpus):
    streams = measure.mode == "sse"
    latency = ("first_event_ms", "first event") if streams else ("latency_ms", "answer")
    unit = measure.unit
    heads = ["contender", f"CPU µs/{unit}", f"ratio to {base_name}", f"{unit}s/s" if unit != "MiB" else "MiB/s"]
    heads += [f"{latency[1]} p50 ms", f"{latency[1]} p99 ms"]
    heads += ["transit p50 ms", "transit p99 ms"] if streams else []
    heads += ["RSS / PSS MiB", "errors", "disturbed"]
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    for name, own in intervals.items():
        if not own:
            continue
        cells = [
            name,
            median_range([each["cpu_micros_per_unit"] for each in own], "{:.3f}" if measure.name == "flat" else "{:.1f}"),
            median_range(ratios(own, intervals.get(base_name, [])), "{:.2f}"),
            median_range([each["units_per_second"] for each in own], "{:.0f}"),
            median_range(pick(own, latency[0], "p50"), "{:.2f}"),
            median_range(pick(own, latency[0], "p99"), "{:.2f}"),
        ]
        if streams:
            cells += [median_range(pick(own, "transit_ms", name), "{:.2f}") for name in ("p50", "p99")]
        cells += [
            " / ".join(mebibytes([each[key] for each in own]) for key in ("rss_bytes", "pss_bytes")),
            str(sum(each["errors"] for each in own)),
            f"{sum(disturbed(each, cpus) for each in own)} of {len(own)}",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return f"### {measure.name}: {measure.title}\n\n" + "\n".join(lines) + "\n" + agreements(intervals)


def agreements(intervals):
    """What TLS each agreed on with the load generator: a comparison of two key exchanges has to be seen as one."""
    said = {name: sorted({each["tls"] for each in own if each.get("tls")}) for name, own in intervals.items()}
    lines = [f"{name}: {', '.join(what)}" for name, what in said.items() if what]
    return f"\nAgreed on: {'; '.join(lines)}\n" if lines else ""


def kib_per_stream(intervals, kind):
    """What memory a process took from before the first connection to the end of the window, over all connections."""
    pairs = ((each.get(f"{kind}_bytes"), each.get(f"{kind}_bytes_before"), each.get("connections")) for each in intervals)
    return [(after - before) / 1024 / streams for after, before, streams in pairs if after and before and streams]


def memory_table(measure, intervals, _base_name, _cpus):
    heads = ["contender", "KiB/stream, RSS", "KiB/stream, PSS", "RSS / PSS with all streams, MiB", "errors", "streams late"]
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    for name, own in intervals.items():
        if not own:
            continue
        cells = [
            name,
            median_range(kib_per_stream(own, "rss"), "{:.1f}"),
            median_range(kib_per_stream(own, "pss"), "{:.1f}"),
            " / ".join(mebibytes([each[key] for each in own]) for key in ("rss_bytes", "pss_bytes")),
            str(sum(each["errors"] for each in own)),
            str(sum(each["late_streams"] for each in own)),
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return f"### {measure.name}: {measure.title}\n\n" + "\n".join(lines) + "\n" + agreements(intervals)


def rest_table(contenders):
    lines = ["| contender | version | start to first 200, ms | RSS at rest, MiB | PSS at rest, MiB | log lines of requests |"]
    lines.append("|---|---|---|---|---|---|")
    for name, facts in contenders.items():
        logged = f"{facts['log_lines']} of {facts['requests']}" if facts["log_lines"] is not None else "-"
        cells = [
            name,
            facts["version"],
            median_range([seconds * 1000 for seconds in facts["start_seconds"]], "{:.1f}"),
            median_range([facts["rss_kib"] and facts["rss_kib"] / 1024], "{:.1f}"),
            median_range([facts["pss_kib"] and facts["pss_kib"] / 1024], "{:.1f}"),
            logged,
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "### At rest\n\n" + "\n".join(lines) + "\n"


def facts_table(facts, settings):
    rows = [
        ("CPU", f"{facts['cpus']} × {facts['cpu']}, shared by proxy, mock and load generator"),
        ("memory, kernel", f"{facts['memory']}, Linux {facts['kernel']}"),
        ("load average before", f"{facts['load_average']:.2f}"),
        ("Portico's commit", facts["commit"]),
        ("rounds", f"{settings['rounds']} of {settings['seconds']} s, order alternating"),
        ("date", settings["date"]),
    ]
    return "| machine | |\n|---|---|\n" + "".join(f"| {name} | {value} |\n" for name, value in rows)
