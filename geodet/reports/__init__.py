"""Reports as single HTML files, and what they show."""
