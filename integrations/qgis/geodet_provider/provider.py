"""The provider geodet of QGIS's Processing: one algorithm for each command of the table."""

import json
from pathlib import Path

from processing.core.ProcessingConfig import ProcessingConfig, Setting
from qgis.core import QgsProcessingProvider

from .algorithm import GeodetAlgorithm
from .command import PROGRAM_SETTING

TABLE = Path(__file__).with_name("options.json")


class GeodetProvider(QgsProcessingProvider):
    """Algorithms that call the command."""

    def id(self):
        """Return the name in front of the colon, as in geodet:detect."""
        return "geodet"

    def name(self):
        """Return the name that the toolbox shows."""
        return "geodet"

    def load(self):
        """Add the setting with the program's path, then the algorithms."""
        ProcessingConfig.addSetting(
            Setting(
                self.name(),
                PROGRAM_SETTING,
                "Path of the program geodet; empty: found on PATH",
                "",
                valuetype=Setting.FILE,
            )
        )
        ProcessingConfig.readSettings()
        self.refreshAlgorithms()
        return True

    def unload(self):
        """Remove the setting."""
        ProcessingConfig.removeSetting(PROGRAM_SETTING)

    def loadAlgorithms(self):  # noqa: N802 - QGIS calls this name
        """Add an algorithm for each command."""
        for command in json.loads(TABLE.read_text(encoding="utf-8")):
            self.addAlgorithm(GeodetAlgorithm(command))
