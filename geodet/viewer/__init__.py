"""A scene and its objects as a map in the browser, served to this machine alone."""
