"""Photographs: what a camera wrote into a picture, and which ground the picture shows."""
