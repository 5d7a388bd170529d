"""What windows and scenes found, made one: exact suppression, fragments and seams."""
