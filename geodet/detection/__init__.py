"""Detection: from scenes and a model to written objects."""
