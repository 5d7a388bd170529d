"""The demonstration: a painted town, and the objects that detect finds in it."""
