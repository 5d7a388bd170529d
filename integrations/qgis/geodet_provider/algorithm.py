"""A command of geodet as an algorithm, its parameters made from the table of options."""

from processing.core.ProcessingConfig import ProcessingConfig
from qgis.core import (
    QgsProcessing,
    QgsProcessingAlgorithm,
    QgsProcessingException,
    QgsProcessingParameterBoolean,
    QgsProcessingParameterDefinition,
    QgsProcessingParameterEnum,
    QgsProcessingParameterFile,
    QgsProcessingParameterFileDestination,
    QgsProcessingParameterFolderDestination,
    QgsProcessingParameterMultipleLayers,
    QgsProcessingParameterNumber,
    QgsProcessingParameterString,
    QgsProcessingParameterVectorDestination,
    QgsProcessingParameterVectorLayer,
)

from .command import PROGRAM_SETTING, CommandError, build_words, find_program, run_command
from .layers import open_errors, open_layer

NUMBERS = {
    "integer": QgsProcessingParameterNumber.Integer,
    "number": QgsProcessingParameterNumber.Double,
}


class GeodetAlgorithm(QgsProcessingAlgorithm):
    """Calls one command.

    Args:
        command: An entry of options.json.
    """

    def __init__(self, command):
        super().__init__()
        self.command = command

    def createInstance(self):  # noqa: N802 - QGIS calls these names
        """Return a new one of the same command."""
        return GeodetAlgorithm(self.command)

    def name(self):
        """Return the name after the colon, as in geodet:detect."""
        return self.command["name"]

    def displayName(self):  # noqa: N802
        """Return the name that the toolbox shows."""
        return self.command["title"]

    def shortHelpString(self):  # noqa: N802
        """Return what the command does, and what each option means."""
        lines = [f"{one['label']}: {one['help']}" for one in self.command["options"]]
        return "\n\n".join([self.command["help"], *lines])

    def initAlgorithm(self, configuration=None):  # noqa: N802
        """Add a parameter for each option."""
        for option in self.command["options"]:
            parameter = to_parameter(option)
            if option["is_advanced"]:
                flags = parameter.flags() | QgsProcessingParameterDefinition.FlagAdvanced
                parameter.setFlags(flags)
            self.addParameter(parameter)

    def processAlgorithm(self, parameters, context, feedback):  # noqa: N802
        """Run the command, and name the layers to add to the project."""
        values, outputs = {}, {}
        for option in self.command["options"]:
            value = self.value_of(option, parameters, context, feedback)
            if option["kind"].startswith("new ") and value is not None:
                outputs[option["name"]] = value
            values[option["name"]] = value
        try:
            program = find_program(ProcessingConfig.getSetting(PROGRAM_SETTING))
            words = [*program, *build_words(self.command, values)]
            run_command(words, feedback)
        except CommandError as error:
            raise QgsProcessingException(str(error)) from error
        return self.open_outputs(outputs, context)

    def open_outputs(self, outputs, context):
        """Return the outputs, whose layers QGIS adds to the project once the algorithm has run."""
        for option in self.command["options"]:
            name = option["name"]
            if name in outputs and option["kind"] == "new vector":
                outputs[name] = open_layer(outputs[name], option, context, self.id())
        if self.name() == "evaluate" and "output" in outputs:
            open_errors(outputs["output"], context)
        return outputs

    def value_of(self, option, parameters, context, feedback):
        """Return the value of an option as text, numbers, a list of paths, or None."""
        name, kind = option["name"], option["kind"]
        if kind == "rasters":
            layers = self.parameterAsLayerList(parameters, name, context)
            return [layer.source() for layer in layers]
        if parameters.get(name) in (None, ""):
            return None
        if kind == "new vector":
            return self.parameterAsOutputLayer(parameters, name, context)
        if kind.startswith("new "):
            return self.parameterAsFileOutput(parameters, name, context)
        if kind == "vector":
            return self.parameterAsCompatibleSourceLayerPath(
                parameters, name, context, ["gpkg", "geojson", "shp", "fgb"], "gpkg", feedback
            )
        if kind == "switch":
            return self.parameterAsBool(parameters, name, context)
        if kind == "integer":
            return self.parameterAsInt(parameters, name, context)
        if kind == "number":
            return self.parameterAsDouble(parameters, name, context)
        if kind == "choice":
            return option["choices"][self.parameterAsEnum(parameters, name, context)]
        return self.parameterAsString(parameters, name, context)


def to_parameter(option):
    """Return the parameter of QGIS for an option of the table."""
    name, label, kind = option["name"], option["label"], option["kind"]
    default, free = option["default"], not option["is_required"]
    if kind == "rasters":
        return QgsProcessingParameterMultipleLayers(
            name, label, QgsProcessing.TypeRaster, optional=free
        )
    if kind == "vector":
        return QgsProcessingParameterVectorLayer(name, label, optional=free)
    if kind == "file":
        return QgsProcessingParameterFile(name, label, optional=free)
    if kind == "folder":
        behaviour = QgsProcessingParameterFile.Folder
        return QgsProcessingParameterFile(name, label, behavior=behaviour, optional=free)
    if kind == "new vector":
        return QgsProcessingParameterVectorDestination(name, label)
    if kind == "new folder":
        return QgsProcessingParameterFolderDestination(name, label)
    if kind == "new file":
        return QgsProcessingParameterFileDestination(
            name, label, option["filter"], optional=free, createByDefault=not free
        )
    if kind == "switch":
        return QgsProcessingParameterBoolean(name, label, defaultValue=default, optional=True)
    if kind == "choice":
        chosen = None if default is None else option["choices"].index(default)
        return QgsProcessingParameterEnum(
            name, label, option["choices"], defaultValue=chosen, optional=free
        )
    if kind in NUMBERS:
        parameter = QgsProcessingParameterNumber(
            name, label, NUMBERS[kind], defaultValue=default, optional=free
        )
        if option["least"] is not None:
            parameter.setMinimum(option["least"])
        if option["most"] is not None:
            parameter.setMaximum(option["most"])
        return parameter
    return QgsProcessingParameterString(name, label, defaultValue=default, optional=free)
