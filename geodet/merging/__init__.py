"""Merging of what overlapping windows and scenes show: exact suppression, and joined fragments."""
