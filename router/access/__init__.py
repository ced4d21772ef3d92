"""Who calls, whether that is true, and from which page."""
