"""Find and run the command geodet. Nothing here needs QGIS, so that it is tested without it."""

import os
import queue
import re
import shutil
import signal
import subprocess
import threading
import time
from pathlib import Path

PROGRAM_SETTING = "GEODET_PROGRAM"
PERCENT = re.compile(r"(\d{1,3}(?:\.\d+)?) %")
OF_TOTAL = re.compile(r"(\d+)/(\d+)")
NUMBER = r"\s*([-+]?[\d.]+(?:[eE][-+]?\d+)?)\s*"
EXTENT = re.compile(rf"{','.join([NUMBER] * 4)}\[\s*([^\[\]]+?)\s*\]\s*")
SUFFIXES = re.compile(r"(\|(option|credential):[^|]*|\|(authcfg|layername|layerid|subset)=[^|]*)+$")
ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
PATIENCE = 20  # seconds in which a cancelled command may remove what it has begun
EVERY = 0.1  # seconds between two looks at the button


class CommandError(Exception):
    """The command is missing, or has failed."""


def find_program(configured=None):
    """Return the words that start geodet.

    Args:
        configured: The path that the settings name; empty: geodet is found on PATH.

    Raises:
        CommandError: There is no such program.
    """
    wanted = (configured or "").strip() or "geodet"
    found = shutil.which(wanted)
    if found is None:
        raise CommandError(
            f"there is no program {wanted}. Install geodet by itself, such as with "
            "'pipx install geodet', and name the path that 'which geodet' prints ('where geodet' "
            "on Windows) in Settings > Options > Processing > Providers > geodet"
        )
    return [found]


def build_words(command, values):
    """Return the command line for the values of the options.

    Args:
        command: An entry of options.json.
        values: By the name of the option; None, an empty text and False leave it out, and so does
            the default.
    """
    words, others = [command["name"]], []
    for option in command["options"]:
        value = to_words(option, values.get(option["name"]))
        if value is None or value == "" or value is False or value == option["default"]:
            continue
        if option["flag"] is None:
            others += value if isinstance(value, list) else [value]
        elif value is True:
            words.append(option["flag"])
        else:
            for one in value if isinstance(value, list) else [value]:
                words.append(f"{option['flag']}={one}")
    # Processing asks before it replaces a file.
    return [*words, "--overwrite", *(["--", *others] if others else [])]


def to_words(option, value):
    """Return a value as the command takes it, where QGIS writes it otherwise."""
    if option["kind"] == "rasters":
        return [to_path(one) for one in value or ()]
    return to_bounds(value) if option["name"] == "bounds" and value else value


def to_path(source):
    """Return what GDAL opens of a raster's source, to which QGIS adds options of opening.

    As in ``/a.tif|option:OVERVIEW_LEVEL=1``; a file whose name ends so is left as it is.
    """
    return source if Path(source).exists() else SUFFIXES.sub("", source)


def to_bounds(text):
    """Return QGIS's text of an extent, ``x1,x2,y1,y2 [EPSG:n]``, as ``x1,y1,x2,y2,EPSG:n``."""
    found = EXTENT.fullmatch(text)
    if found is None:
        return text
    x1, x2, y1, y2, crs = found.groups()
    return ",".join([x1, y1, x2, y2, crs])


def run_command(words, feedback, patience=PATIENCE):
    """Run a command until it ends or is cancelled.

    Args:
        words: The command line.
        feedback: QgsProcessingFeedback, or what has its methods.
        patience: Seconds that a cancelled command has to end.

    Raises:
        CommandError: It failed; the text is what it said.
    """
    feedback.pushCommandInfo(subprocess.list2cmdline(words))
    process = subprocess.Popen(
        words,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=environment(),
        **own_group(),
    )
    lines = queue.Queue()
    threading.Thread(target=read_lines, args=(process.stdout, lines), daemon=True).start()
    said = []
    while True:
        try:
            line = lines.get(timeout=EVERY)
        except queue.Empty:
            line = ""
        if line is None:
            break
        if line:
            say(line, said, feedback)
        if feedback.isCanceled():
            end(process, patience)
            process.stdout.close()
            raise CommandError("cancelled")
    code = process.wait()
    process.stdout.close()
    if code:
        raise CommandError("\n".join(said[-12:]) or f"geodet ended with code {code}")
    feedback.setProgress(100)


def environment():
    """Return the variables of the command: bars into the pipe, and none of QGIS's own Python."""
    own = {"PYTHONHOME", "PYTHONPATH", "GDAL_DATA", "PROJ_LIB", "PROJ_DATA", "GDAL_DRIVER_PATH"}
    kept = {name: value for name, value in os.environ.items() if name not in own}
    bars = {"FORCE_COLOR": "1", "TTY_COMPATIBLE": "1", "COLUMNS": "160", "TERM": "xterm"}
    return {**kept, **bars, "PYTHONUNBUFFERED": "1", "PYTHONIOENCODING": "utf-8"}


def own_group():
    """Return the arguments that let a signal reach the command and not QGIS."""
    if os.name == "nt":
        return {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW}
    return {"start_new_session": True}


def read_lines(stream, lines):
    """Put each line into a queue, bars that are drawn over each other among them; last None."""
    rest = b""
    while True:
        part = stream.read1(4096)
        *whole, rest = re.split(rb"[\r\n]+", rest + part) if part else (rest, b"")
        for line in whole:
            lines.put(line.decode("utf-8", "replace"))
        if not part:
            break
    lines.put(None)


def say(line, said, feedback):
    """Show a line, or the share that a bar tells."""
    text = ANSI.sub("", line).strip()
    share = progress_of(text)
    if share is not None:
        feedback.setProgress(share)
    elif text:
        said.append(text)
        feedback.pushInfo(text)


def progress_of(text):
    """Return the share that a bar shows, in percent; None for any other line."""
    if not any(mark in text for mark in "━╸╺"):
        return None
    if found := PERCENT.search(text):
        return float(found.group(1))
    if (found := OF_TOTAL.search(text)) and int(found.group(2)):
        return 100 * int(found.group(1)) / int(found.group(2))
    return 0.0


def end(process, patience):
    """End a command as Ctrl-C does, which removes what it has begun; then without mercy."""
    try:
        process.send_signal(signal.CTRL_BREAK_EVENT if os.name == "nt" else signal.SIGINT)
    except OSError:  # Windows sends it through a console, which QGIS lacks unless started in one
        patience = 0
    deadline = time.monotonic() + patience
    while process.poll() is None and time.monotonic() < deadline:
        time.sleep(EVERY)
    if process.poll() is None:
        process.kill()
        process.wait()
