"""The QGIS plugin that calls the installed command geodet."""


def classFactory(iface):  # noqa: N802 - QGIS looks for this name
    """Return the plugin, as QGIS asks for it."""
    from .plugin import GeodetPlugin

    return GeodetPlugin()
