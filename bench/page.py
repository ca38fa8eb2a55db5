# SPDX-License-Identifier: MIT
"""page.py: how figures become a page: sections between markers, the line about machine and commit,
tables and plots.

    page.write("core", ["A sentence.", page.table(rows),
                        page.bars("core-time", "Time per command", "ns", values)])

A script rewrites its own sections and leaves the rest of the page alone. The page is
run/benchmarks.md, which begins as a copy of docs/benchmarks.md; with PAGE=1 in the environment it
is docs/benchmarks.md itself. All figures also go into a JSON file in run/."""
import datetime
import json
import os
import platform
import re
import shutil
import statistics
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tools"))
import common  # pylint: disable=wrong-import-position

TRACKED, OWN = "docs", "run"
PAGE, PLOTS = "benchmarks.md", "benchmarks"
PLOT_SIZE = "760,380"
PLOT_DEADLINE = 60


# ---- a figure without its machine and its commit is a rumour

def _first_line(path, name):
  try:
    with open(path, encoding="utf-8") as f:
      return next((line.split(":", 1)[1].strip() for line in f if line.startswith(name)), "unknown")
  except OSError:
    return "unknown"


def output_of(*command):
  """What a command prints, or `unknown`: for versions and the like."""
  try:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
  except (OSError, subprocess.CalledProcessError):
    return "unknown"


def circumstances():
  return {
      "date":
      datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
      "commit":
      output_of("git", "rev-parse", "HEAD"),
      "changed_since":
      output_of("git", "status", "--porcelain", "--untracked-files=no", "--", ":!docs") != "",
      "machine": {
          "cpu": _first_line("/proc/cpuinfo", "model name"),
          "cores": os.cpu_count(),
          "memory": _first_line("/proc/meminfo", "MemTotal"),
          "kernel": platform.release(),
          "load_at_start": os.getloadavg()[0],
      },
  }


def machine_line(found):
  """One line for people, of what circumstances() found."""
  machine = found["machine"]
  changed = " with changes" if found["changed_since"] else ""
  return (
      f"{machine['cpu']}, {machine['cores']} cores, kernel {machine['kernel']}, load "
      f"{machine['load_at_start']:.2f} at the start; "
      f"commit {found['commit'][:12]}{changed}; {found['date'][:10]}")


# ---- pieces of a section

def verdict(met):
  """Of a goal: one that is missed stands out."""
  return "met" if met else "**missed**"


def table(rows):
  """Markdown; the first row is the head, the first column to the left, the others to the right."""
  head, *body = rows
  lines = [head, ["---"] + ["---:"] * (len(head) - 1), *body]
  return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def folder():
  """Where page and plots are written."""
  if os.environ.get("PAGE") == "1":
    return TRACKED
  tracked, own = (os.path.join(where, PAGE) for where in (TRACKED, OWN))
  if not os.path.exists(own) or os.path.getmtime(own) < os.path.getmtime(tracked):
    os.makedirs(OWN, exist_ok=True)
    shutil.copyfile(tracked, own)
    shutil.copytree(os.path.join(TRACKED, PLOTS), os.path.join(OWN, PLOTS), dirs_exist_ok=True)
  return OWN


def _gnuplot(name, title, commands, data):
  plots = os.path.join(folder(), PLOTS)
  os.makedirs(plots, exist_ok=True)
  path = f"{plots}/{name}.svg"
  script = "\n".join([
      f"set terminal svg size {PLOT_SIZE} background rgb 'white' noenhanced",
      f"set output '{path}'", f"set title {json.dumps(title)}", "set grid ytics", *commands
  ])
  try:
    subprocess.run(["gnuplot"], input=f"$data << EOD\n{data}\nEOD\n{script}\n", text=True,
                   capture_output=True, check=True, timeout=PLOT_DEADLINE)
  except FileNotFoundError:
    raise common.Failed("there is no gnuplot; `tools/deps bench` installs it") from None
  except subprocess.CalledProcessError as e:
    raise common.Failed(f"gnuplot could not draw {path}: {e.stderr.strip()}") from None
  return f"![{title}](benchmarks/{name}.svg)"


def bars(name, title, unit, values):
  """One bar for each (label, value), as benchmarks/NAME.svg beside the page; returns the line that
  shows it."""
  data = "\n".join(f"{json.dumps(label)} {value:g}" for label, value in values)
  return _gnuplot(name, title, [
      f"set ylabel {json.dumps(unit)}", "set style fill solid 0.6", "set boxwidth 0.6",
      "set yrange [0:*]", "set xtics rotate by -15",
      "plot $data using 0:2:xtic(1) with boxes notitle, "
      "$data using 0:2:(sprintf('%g', $2)) with labels offset 0,0.7 notitle"
  ], data)


def groups(name, title, unit, labels, series):
  """Bars side by side for each label: `series` = {name: [[values of one label]…]}; a bar is their
  median, its whisker their range."""
  rows = ([(statistics.median(values), min(values), max(values))
           for values in column]
          for column in zip(*series.values()))
  data = "\n".join(" ".join([json.dumps(label), *(f"{n:g}"
                                                  for bar in row
                                                  for n in bar)])
                   for label, row in zip(labels, rows))
  plots = ", ".join(
      f"$data using {2 + 3 * i}:{3 + 3 * i}:{4 + 3 * i}:xtic(1) title {json.dumps(label)}"
      for i, label in enumerate(series))
  return _gnuplot(name, title, [
      f"set ylabel {json.dumps(unit)}", "set style data histograms", "set yrange [0:*]",
      "set style histogram errorbars gap 1 lw 1", "set style fill solid 0.6", "set key top left",
      "set xtics rotate by -15", f"plot {plots}"
  ], data)


def lines(name, title, axes, series, log_x=True):
  """A curve for each name in `series`: {name: [(x, y)…]}; `axes` = (label of x, label of y)."""
  data = "\n\n\n".join("\n".join(f"{x:g} {y:g}" for x, y in points) for points in series.values())
  curves = ", ".join(f"$data index {i} with linespoints title {json.dumps(label)}"
                     for i, label in enumerate(series))
  return _gnuplot(name, title, [
      f"set xlabel {json.dumps(axes[0])}", f"set ylabel {json.dumps(axes[1])}", "set yrange [0:*]",
      "set key bottom right", *(["set logscale x"] if log_x else []), f"plot {curves}"
  ], data)


# ---- the page

def replaced(text, name, section):
  """The page's text with what stands between the markers of `name` replaced."""
  end = f"<!-- end {name} -->"
  pattern = rf"(<!-- begin {re.escape(name)}: [^\n]* -->\n).*?{re.escape(end)}"
  if len(re.findall(pattern, text, re.S)) != 1:
    raise common.Failed(
        f"{PAGE} needs one line `<!-- begin {name}: … -->`, which names the writer, and "
        f"below it one `{end}`"
    )
  return re.sub(pattern, lambda found: f"{found.group(1)}\n{section}\n\n{end}", text, flags=re.S)


def write(name, pieces):
  """Put `pieces`, an empty line between each two, between the markers of `name`."""
  path = os.path.join(folder(), PAGE)
  with open(path, encoding="utf-8") as f:
    text = f.read()
  text = replaced(text, name, "\n\n".join(pieces))
  with open(path, "w", encoding="utf-8") as f:
    f.write(text)


def keep(path, found, values):
  """All figures, with what circumstances() found."""
  with open(path, "w", encoding="utf-8") as f:
    json.dump({**found, **values}, f, indent=2)
