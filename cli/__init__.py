"""The command line of geodet: options, configuration, one call of the library, report."""
