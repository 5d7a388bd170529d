"""The journal of a detection: what the network found so far, kept beside the output.

A scene is computed in bands, whole rows of its windows. When a band is finished, what its windows
own is written to ``OUTPUT.partial/SCENE/BAND.part``, before duplicates at seams are removed. A run
that finds parts takes them in place of computing their bands, and merges them as it would have
merged what the network finds: its rows are those of a run that was never interrupted.

When the outputs appear, ``plan.json.files`` notes them: the run may replace what it has written
itself. The folder is removed when all outputs of the run are written.

A part depends on its own windows alone. So parts may be missing in any place, and parts that
several machines have computed for one fingerprint may be put into one folder.

    OUTPUT.partial/
      plan.json          version of this layout, an identifier of the run, and the fingerprint
      plan.json.files    the path and the identity of each file that the run has put in its place
      0000/windows.json  size, overlap, alignment and batch size of the first scene
      0000/000003.part   the fourth band of the first scene: SHA-256, then arrays in numpy's format
"""

from __future__ import annotations

import contextlib
import json
import logging
import secrets
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from geodet.detection.band_parts import PART_ENDING, BandStore
from geodet.detection.journal_plan import PLAN_NAME, JournalPlan, read_plan
from geodet.detection.scene_files import anchor_of, beside
from geodet.detection.written_files import WrittenFiles, note_written, read_written
from geodet.documents.json_documents import parse_json
from geodet.documents.values import whole_number
from geodet.errors import OutputError
from geodet.files.locks import locked_output
from geodet.files.outputs import raising_output_errors
from geodet.files.synced_files import write_synced

__all__ = ["Journal", "SceneJournal", "discard_journal", "journal_folder", "scene_key"]

logger = logging.getLogger(__name__)

_WINDOWS = "windows.json"


class Journal:
    """The folder beside an output that holds the finished bands of a run.

    Args:
        output: The output; the folder is :func:`journal_folder` of it.
        fingerprint: Everything that the rows depend on, as texts by name.
        restart: Whether to remove the parts of an earlier run.

    Raises:
        OutputError: The folder holds parts of a run with another fingerprint, or cannot be
            written.
    """

    def __init__(
        self, output: Path, fingerprint: Mapping[str, str], *, restart: bool = False
    ) -> None:
        self.folder = journal_folder(output)
        """The folder of the parts."""
        self.run = secrets.token_hex(8)
        """An identifier of the run, the same when it goes on after an interruption."""
        if restart:
            self.remove()
        with raising_output_errors(self.folder):
            if self._has_parts() or (self.written.identities and self._is_of(fingerprint)):
                self.run = self._check(fingerprint)
            else:
                self.remove()
                self.folder.mkdir(mode=0o700)
                JournalPlan(self.run, fingerprint).write(self.folder)

    @property
    def written(self) -> WrittenFiles:
        """The outputs that the run has put in place, also before it was interrupted."""
        return read_written(self.folder)

    def note_written(self, complete: Path, place: Path) -> None:
        """Note what is about to be put in its place; see :func:`note_written`."""
        note_written(self.folder, complete, place)

    def note_unreadable(self, number: int) -> None:
        """Note that a scene could not be read to its end: the run may go on when it is repaired.

        Args:
            number: Number of the scene in the plan, from 0.
        """
        with contextlib.suppress(OSError):  # then it may not be repaired
            if plan := read_plan(self.folder):
                plan.with_unreadable(scene_key(number + 1)).write(self.folder)

    def open_scene(self, number: int) -> SceneJournal:
        """Return the journal of a scene, by its number in the plan."""
        return SceneJournal(self.folder / f"{number:04d}")

    def close(self) -> None:
        """Remove the folder unless the next run may go on from it."""
        with contextlib.suppress(OSError):
            if not self._holds_work():
                self.remove()

    def hand_over(self, output: Path) -> bool:
        """Rename the folder to the journal of another output, so that a run of it can go on.

        Returns:
            Whether it could be renamed.
        """
        folder = journal_folder(output)
        try:
            if folder != self.folder:
                self.folder.rename(folder)
        except OSError:
            return False
        self.folder = folder
        return True

    def remove(self) -> None:
        """Remove the folder with all parts.

        Raises:
            OutputError: It is not a journal, or cannot be removed.
        """
        _remove(self.folder)

    def _holds_work(self) -> bool:
        """Whether the next run may go on from the journal."""
        has_plan = (self.folder / PLAN_NAME).exists()
        return has_plan and (self._has_parts() or bool(self.written.identities))

    def _has_parts(self) -> bool:
        has_plan = (self.folder / PLAN_NAME).exists()
        return has_plan and any(self.folder.glob(f"*/*{PART_ENDING}"))

    def _is_of(self, fingerprint: Mapping[str, str]) -> bool:
        """Whether the journal is of a run with this fingerprint."""
        plan = read_plan(self.folder)
        return plan is not None and plan.fingerprint == fingerprint

    def _check(self, fingerprint: Mapping[str, str]) -> str:
        """Check that the parts are of a run that would compute the same; return its identifier."""
        plan = read_plan(self.folder)
        if plan is None:
            raise self._is_another("its plan cannot be read by this version of geodet")
        known = plan.fingerprint
        names = dict.fromkeys([*known, *fingerprint])
        changed = [name for name in names if known.get(name) != fingerprint.get(name)]
        if not {*changed} <= plan.unreadable:
            what = "; ".join(_difference(name, known, fingerprint) for name in changed[:3])
            what += f"; and {len(changed) - 3} more" if len(changed) > 3 else ""
            raise self._is_another(what)
        if changed:
            logger.warning(
                "%s of the unfinished run could not be read and has changed since: the detections "
                "found before are kept",
                " and ".join(changed),
            )
            replace(plan, fingerprint=fingerprint).write(self.folder)
        return plan.run

    def _is_another(self, what: str) -> OutputError:
        return OutputError(
            f"{self.folder} belongs to an unfinished run that differs from this one: {what}",
            hint="run that command again to finish it; restart=True (--restart) starts from "
            "scratch, --discard removes it",
            path=self.folder,
        )


class SceneJournal(BandStore):
    """The finished bands of one scene, and how it is cut."""

    def choose_windows(self, chosen: Mapping[str, int]) -> Mapping[str, int]:
        """Store the numbers that define the windows of a scene; return those stored first, if any.

        They depend on the free memory, which may differ in the next run.
        """
        path = self.folder / _WINDOWS
        with contextlib.suppress(OSError, ValueError):
            known = parse_json(path.read_text(encoding="utf-8"))
            if isinstance(known, dict) and known.keys() == chosen.keys():
                return {name: whole_number(value) for name, value in known.items()}
        with raising_output_errors(self.folder.parent):
            shutil.rmtree(self.folder, ignore_errors=True)  # parts of windows that are not known
            self.folder.mkdir()
            write_synced(path, json.dumps(dict(chosen)).encode())
        return chosen


def scene_key(number: int) -> str:
    """Return the name of a scene in a fingerprint, by its number from 1."""
    return f"scene {number}"


def journal_folder(output: Path) -> Path:
    """Return the folder of an output's journal.

    Example:
        >>> journal_folder(Path("trees.gpkg")).name
        'trees.gpkg.partial'
    """
    return beside(output, ".partial")


def discard_journal(output: Path) -> bool:
    """Remove the journal of an output, if there is one.

    Returns:
        Whether there was one.

    Raises:
        OutputError: It is not a journal, cannot be removed, or is of a run that goes on.
    """
    folder = journal_folder(output)
    if not folder.exists():
        return False
    with locked_output(anchor_of(output)):
        _remove(folder)
    return True


def _remove(folder: Path) -> None:
    with raising_output_errors(folder):
        if not folder.exists():
            return
        others = [entry.name for entry in folder.iterdir() if not _is_ours(entry)]
        if others:
            raise OutputError(
                f"{folder} contains {others[0]}, which geodet did not write",
                hint="move it elsewhere, or name another output",
                path=folder,
            )
        # What is left of a removal that is interrupted has no plan, and so no meaning.
        (folder / PLAN_NAME).unlink(missing_ok=True)
        shutil.rmtree(folder)


def _is_ours(entry: Path) -> bool:
    return entry.name.startswith(PLAN_NAME) or (entry.name.isdecimal() and entry.is_dir())


def _difference(name: str, before: Mapping[str, str], now: Mapping[str, str]) -> str:
    if name not in now:
        return f"{name} is left out"
    if name not in before:
        return f"{name} is new"
    if len(before[name]) + len(now[name]) > 80:
        return f"{name} has changed"
    return f"{name} was {before[name]} and is {now[name]}"
