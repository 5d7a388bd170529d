"""The command line of geodet: flags -> configuration -> one tool -> report."""
