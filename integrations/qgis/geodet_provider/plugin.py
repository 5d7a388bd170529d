"""Register the provider with QGIS, in the desktop and in qgis_process alike."""

from qgis.core import QgsApplication

from .provider import GeodetProvider


class GeodetPlugin:
    """Adds the algorithms while the plugin is switched on."""

    def __init__(self):
        self.provider = None

    def initProcessing(self):  # noqa: N802 - QGIS calls these names
        """Add the provider; all that qgis_process calls."""
        self.provider = GeodetProvider()
        QgsApplication.processingRegistry().addProvider(self.provider)

    def initGui(self):  # noqa: N802
        """Add the provider to the desktop."""
        self.initProcessing()

    def unload(self):
        """Remove the provider."""
        QgsApplication.processingRegistry().removeProvider(self.provider)
