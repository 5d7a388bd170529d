"""The layers that an algorithm adds to the project, with their names and styles."""

from processing.gui.RenderingStyles import RenderingStyles
from qgis.core import QgsProcessingContext, QgsProcessingLayerPostProcessorInterface
from qgis.PyQt import sip

from .outputs import error_layers, name_layer


class StoredStyle(QgsProcessingLayerPostProcessorInterface):
    """Applies to a layer the style that its file stores, which Processing does not load."""

    def postProcessLayer(self, layer, context, feedback):  # noqa: N802 - QGIS calls this name
        """Load the default style; a file without one leaves the layer as it is."""
        layer.loadDefaultStyle()


KEPT = []  # QGIS deletes what it is given, each once, but keeps no reference that Python counts


def load_stored_style(details):
    """Apply to the layer of these details the style that its file stores."""
    KEPT[:] = [one for one in KEPT if not sip.isdeleted(one)]
    KEPT.append(StoredStyle())
    details.setPostProcessor(KEPT[-1])


def open_layer(path, option, context, algorithm):
    """Return the address of the layer of a file, which the project opens if it opens the file.

    Args:
        path: The file, in which an option may name a layer that is not the first.
        option: The option that names the file.
        context: Where Processing keeps what to open.
        algorithm: The address of the algorithm, such as geodet:detect.
    """
    address = path if option["layer"] is None else f"{path}|layername={option['layer']}"
    to_load = context.layersToLoadOnCompletion()
    if path in to_load:
        details = to_load.pop(path)
        details.name = name_layer(path, option, details.name)
        if RenderingStyles.getStyle(algorithm, option["name"]) is None:  # a person chose no other
            load_stored_style(details)
        to_load[address] = details
        context.setLayersToLoadOnCompletion(to_load)
    return address


def open_errors(folder, context):
    """Add the errors of an evaluation to the project, where there is a project."""
    if context.project() is None:
        return
    path, names = error_layers(folder)
    for name in names:
        details = QgsProcessingContext.LayerDetails(name, context.project())
        load_stored_style(details)
        context.addLayerToLoadOnCompletion(f"{path}|layername={name}", details)
