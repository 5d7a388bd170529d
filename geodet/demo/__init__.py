"""The demonstration: a painted town, and the trees that detect finds in it."""
